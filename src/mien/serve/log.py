"""The server's log: JSON, one object a line."""

from __future__ import annotations

import json
import logging

LOG = logging.getLogger("mien.serve")


class JsonLines(logging.Formatter):
    """Log records as JSON, one a line: what happened, and figures; never a picture or a name."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "what": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            told["fault"] = self.formatException(record.exc_info)
        return json.dumps(told)
