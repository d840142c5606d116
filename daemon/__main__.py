"""`python -m daemon` is `whisper-fleet`."""

from daemon.cli import main

if __name__ == "__main__":
    main()
