"""The programs and purchases that are shipped."""

from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[2] / "programs"
PROGRAM = PROGRAMS / "three-levels.yaml"
PURCHASES = PROGRAMS / "data" / "purchases.csv.gz"
