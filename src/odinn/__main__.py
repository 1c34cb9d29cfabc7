"""``python -m odinn``: the command line."""

from odinn.cli.main import main

if __name__ == "__main__":
    main()
