"""``python -m personadual.data_prep.quickstart --out DIR``"""

import argparse

from personadual.data_prep import cli

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m personadual.data_prep.quickstart", description=cli.QUICKSTART_HELP)
    cli.add_quickstart_arguments(parser)
    raise SystemExit(cli.run(parser.parse_args()))
