"""`python -m billing_worker`."""

from billing_worker.main import main

raise SystemExit(main())
