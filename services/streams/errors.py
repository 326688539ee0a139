"""Why a stream room does not start, or stops. Not here: what is wrong with one record (domain/errors.py).

RecadoError
├── StartUpError           settings, topics or group do not fit: the text says what to do
├── RoomStoppedError       going on would do harm; a person must look
│   └── LostRangeError     the log no longer holds what this group has not read
└── DoubtError             this client object cannot be trusted any more: build a new one (never leaves this package)
"""

from services.domain.errors import RecadoError


class StartUpError(RecadoError):
    """The room must not start like this."""


class RoomStoppedError(RecadoError):
    """The room stopped itself; it is not restarted by the loop."""


class LostRangeError(RoomStoppedError):
    """Committed offsets lie outside the log: records were lost or deleted unread."""


class DoubtError(RecadoError):
    """The Kafka client is in a state that only a new object cures."""
