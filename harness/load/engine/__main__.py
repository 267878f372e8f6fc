"""``python -m harness.load.engine PLAN``."""

from harness.load.engine.process import main

raise SystemExit(main())
