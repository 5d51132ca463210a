"""Writes digits.csv from the copy of the UCI digits that scikit-learn ships: python digits.py digits.csv.gz > digits.csv

digits.csv.gz is sklearn/datasets/data/digits.csv.gz: 64 numbers from 0 to 16, then the digit.
The order is that of the file; a line is the digit and its 64 numbers.
"""

import gzip
import sys

for line in gzip.open(sys.argv[1], "rt"):
    *pixels, digit = [int(float(number)) for number in line.split(",")]
    print(",".join(map(str, [digit, *pixels])))
