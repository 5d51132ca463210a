"""Writes digits_3_8.csv from the copy of the UCI digits that scikit-learn ships: python digits.py digits.csv.gz > digits_3_8.csv

digits.csv.gz is sklearn/datasets/data/digits.csv.gz: 64 numbers from 0 to 16, then the digit.
Only threes and eights are kept, in the order of the file; a line is the digit and its 64 numbers.
"""

import gzip
import sys

for line in gzip.open(sys.argv[1], "rt"):
    *pixels, digit = [int(float(number)) for number in line.split(",")]
    if digit in (3, 8):
        print(",".join(map(str, [digit, *pixels])))
