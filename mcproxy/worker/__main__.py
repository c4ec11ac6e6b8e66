"""`python -m mcproxy.worker`."""

import gc

gc.disable()  # modules are no garbage: looking for some while they are loaded takes a tenth of a start; `main` enables it

from mcproxy import declared, late_modules  # noqa: E402 - see above

late_modules.put_off()  # before anything imports msgspec
declared.types_alone()  # before any declaration is imported

from mcproxy.worker.main import main  # noqa: E402 - see above

main()
