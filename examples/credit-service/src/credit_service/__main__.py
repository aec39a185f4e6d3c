"""`python -m credit_service`."""

from credit_service.main import main

if __name__ == "__main__":
    raise SystemExit(main())
