"""`python -m doorward`: the same program as the console script."""

from doorward.cli.main import main

if __name__ == "__main__":
    main()
