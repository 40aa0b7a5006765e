#!/usr/bin/env python3
"""Turns the articles of the folder news-events-ecbplus into a CSV file for `stories`, and their labels into another.

articles.py DATA OUT.csv TRUTH.csv
"""

import csv
import json
import pathlib
import sys


def rows(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def write(path, header, lines):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1]) / "news-events-ecbplus"
    write(sys.argv[2], ["id", "title", "text"],
          ([row["id"], row["title"], row["text"]] for row in rows(folder / "articles.jsonl")))
    write(sys.argv[3], ["id", "family"], ([row["id"], row["event"]] for row in rows(folder / "labels.jsonl")))


if __name__ == "__main__":
    main()
