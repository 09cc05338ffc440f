"""`python -m mien`, the same as the command `mien`."""

from mien.cli.main import main

raise SystemExit(main())
