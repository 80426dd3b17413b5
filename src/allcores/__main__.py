"""What ``python -m allcores`` runs."""

from allcores._doors.command_line.main import main

if __name__ == "__main__":
    raise SystemExit(main())
