"""`python -m billing_http`."""

import sys

from billing_http.main import main

if __name__ == "__main__":
    sys.exit(main())
