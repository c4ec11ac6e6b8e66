"""What was to be confirmed, and was not in time."""

from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.errors import StoreError
from mcproxy.control.system import log
from mcproxy.errors import UnavailableError


async def withdraw_unconfirmed(current: Current) -> bool:
    """Undo what was not confirmed in time; tell whether something was. If database or fleet can't, it is tried again."""
    try:
        overdue = await current.edits.withdraw_unconfirmed()
    except (StoreError, UnavailableError) as error:
        log.logger().error("what was not confirmed in time can't be undone yet", error=str(error))
        return False
    for entry in overdue:
        message = f"not confirmed in time, undone: {entry.mutation.action} {entry.mutation.target}"
        log.logger().warning(message, author=entry.mutation.author)
        current.events.publish("confirm", message, current.applier.generation)
    return bool(overdue)
