#!/usr/bin/env python3
"""Joins the places and reviews of the folder place-reviews into one JSON Lines file for the pipeline `places`.

places.py DATA OUT.jsonl [--characters N]

The reviews of a place are cut to a budget: the newest first, each to 700 characters at most, until N characters (default
6000, about 1,500 tokens) are used.
"""

import argparse
import csv
import datetime
import json
import pathlib
import re
import sys

REVIEW_CHARACTERS = 700
NOTHING = {"", "no negative", "no positive", "nothing", "n a", "none"}


def iso_day(text):
    """The day as YYYY-MM-DD; the copies write month, day and year with strokes or hyphens. None if it is not a date."""
    found = re.fullmatch(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})", text.strip())
    if not found:
        return None
    month, day, year = map(int, found.groups())
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None


def review_text(row):
    """The points and what the guest liked and disliked; None if the guest wrote nothing."""
    parts = []
    for sign, column in (("+", "positive"), ("-", "negative")):
        text = " ".join(row[column].split())
        if text.lower() not in NOTHING:
            parts.append(f"{sign} {text}")
    if not parts:
        return None
    return f"{row['reviewer_score']}: {' '.join(parts)}"[:REVIEW_CHARACTERS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--characters", type=int, default=6000)
    arguments = parser.parse_args()
    folder = arguments.data / "place-reviews"

    reviews = {}
    undated = silent = 0
    with open(folder / "reviews.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = review_text(row)
            day = iso_day(row["date"])
            silent += text is None
            undated += day is None
            if text is not None:
                reviews.setdefault(row["place_id"], []).append((day or "", row["review_id"], text))

    written = without = 0
    with open(folder / "places.csv", encoding="utf-8", newline="") as file, \
            open(arguments.out, "w", encoding="utf-8") as out:
        for row in csv.DictReader(file):
            newest = sorted(reviews.get(row["place_id"], []), reverse=True)
            taken, used = [], 0
            for _, _, text in newest:
                if used + len(text) > arguments.characters:
                    break
                taken.append(text)
                used += len(text)
            place = {"id": row["place_id"], "name": row["name"].strip(), "address": " ".join(row["address"].split()),
                     "review_count": len(newest), "reviews_left_out": len(newest) - len(taken), "reviews": taken}
            if row["average_score"]:
                place["score"] = float(row["average_score"])
            if row.get("hours", "").strip():
                place["hours"] = row["hours"].strip()
            if newest and newest[0][0]:
                place["newest_review"] = newest[0][0]
            without += not taken
            out.write(json.dumps(place, ensure_ascii=False) + "\n")
            written += 1
    print(f"{written} places, {sum(map(len, reviews.values()))} reviews with text ({silent} without, {undated} without "
          f"a date); {without} places without a review", file=sys.stderr)


if __name__ == "__main__":
    main()
