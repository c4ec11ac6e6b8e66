"""`python -m mcproxy.worker`."""

import gc

gc.disable()  # modules are no garbage: looking for some while they are loaded takes a tenth of a start; `main` enables it

from mcproxy.worker.main import main  # noqa: E402 - see above

main()
