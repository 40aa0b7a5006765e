#!/usr/bin/env python3
"""Reads the e-mails of the folders emails-state-foia and emails-spamassassin into one JSON Lines file for `emails`.

emails.py DATA OUT.jsonl

The first folder has texts of released documents (emails.jsonl or emails.jsonl.gz), the second raw messages with labels
(messages.tar.xz or a folder messages). A folder that does not exist is left out. Dates become ISO 8601: in UTC if the
e-mail says its time zone, which the documents do not. A date that can't be read is kept as `date_text` alone.
"""

import argparse
import datetime
import email
import email.header
import email.policy
import email.utils
import gzip
import html
import json
import pathlib
import re
import sys
import tarfile

TEXT_CHARACTERS = 20000
MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}
MAILED = re.compile(r"\b([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):\d\d (\d{4})\b")
SENT = re.compile(r"\b([A-Z][a-z]{2})[a-z]*[ .,]+(\d{1,2})[ ,.]+(\d{4})(?:[ ,]+(\d{1,2})[:.](\d\d)(?::\d\d)? ?([AP]M)?)?",
                  re.IGNORECASE)
# Lines that the release added to each page.
STAMP = re.compile(r"UNCLASSIFIED|RELEASE IN|STATE DEPT\. - PRODUCED|SUBJECT TO AGREEMENT|^\s*(?:Case|Doc) No\.|"
                   r"^\s*Date: \d\d/\d\d/\d{4}\s*$|^\s*(?:(?:B\d|1\.4)(?:\(\w\))?[,;]?)+\s*$|^\s*\d{1,3}\s*$")
HEADER = re.compile(r"^\s*(?:From|To|Cc|Sent|Date|Subject|Attachments|Importance)(?::|\s{2,}|\s*$)")
SUBJECT = re.compile(r"^\s*Subject:?[ \t]{2,}(\S.*)$", re.MULTILINE)
MISREAD = "\u2022*- \t"


def document_date(text):
    """ISO 8601 from `Wednesday, September 12, 2012 12:44 PM` or a variant; None if it can't be read."""
    found = MAILED.search(text)
    if found:
        text = f"{found[1]} {found[2]}, {found[5]} {found[3]}:{found[4]}"
    found = SENT.search(text)
    if not found or found[1].lower() not in MONTHS:
        return None
    hour, minute = int(found[4] or 0), int(found[5] or 0)
    if found[6]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[6].upper() == "PM" else 0)
    try:
        date = datetime.datetime(int(found[3]), MONTHS[found[1].lower()], int(found[2]), hour, minute)
    except ValueError:
        return None
    return date.isoformat() if 1990 <= date.year <= 2030 else None


def document_text(text):
    """The text without the stamps of the release and without the first block of headers."""
    lines = [line.strip() for line in text.split("\n") if not STAMP.search(line)]
    while lines and (not lines[0] or HEADER.match(lines[0])):
        lines.pop(0)
    return "\n".join(lines).strip()


def documents(folder):
    path = next((folder / name for name in ("emails.jsonl", "emails.jsonl.gz") if (folder / name).exists()), None)
    if path is None:
        return
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for line in file:
            mail = json.loads(line)
            if not mail["subject"]:  # the colon after `Subject` was not read
                found = SUBJECT.search(mail["text"])
                mail["subject"] = " ".join(found[1].split()) if found else ""
            yield {"id": mail["id"], "source": "foia", "from": mail["from"].strip(MISREAD),
                   "to": mail["to"].strip(MISREAD), "date_text": mail["date"], "date": document_date(mail["date"]),
                   "subject": mail["subject"].strip(MISREAD), "text": document_text(mail["text"])}


def decoded(value):
    """A header as text; a broken encoding is shown as it is."""
    try:
        text = str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, UnicodeError, ValueError, email.errors.HeaderParseError):
        text = value
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def part_text(part):
    payload = part.get_payload(decode=True) or b""
    charset = part.get_content_charset() or "utf-8"
    try:
        text = payload.decode(charset, "replace")
    except (LookupError, UnicodeError):
        text = payload.decode("latin-1")
    if part.get_content_type() == "text/html":
        text = re.sub(r"(?is)<(script|style|head)\b.*?</\1\s*>", " ", text)
        text = re.sub(r"(?i)<(?:br|/p|/div|/tr|/li)\b[^>]*>", "\n", text)
        text = html.unescape(re.sub(r"(?s)<[^>]*>", " ", text))
        text = re.sub(r"[ \t\xa0]+", " ", text)
    return text.replace("\x00", "").replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8").strip()


def body_text(message):
    """The first plain text part, else the first HTML part without its tags."""
    parts = [part for part in message.walk() if not part.is_multipart()]
    for kind in ("text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == kind:
                text = part_text(part)
                if text:
                    return text
    return ""


def message_date(value):
    try:
        date = email.utils.parsedate_to_datetime(value)
        date = date.replace(tzinfo=date.tzinfo or datetime.timezone.utc).astimezone(datetime.timezone.utc)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return date.strftime("%Y-%m-%dT%H:%M:%SZ") if 1990 <= date.year <= 2030 else None


def message_item(name, raw, label):
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    header = {key: str(message.get(key, "")) for key in ("From", "To", "Date", "Subject")}
    return {"id": name, "source": "spamassassin", "label": label, "from": decoded(header["From"]),
            "to": decoded(header["To"]), "date_text": " ".join(header["Date"].split()),
            "date": message_date(header["Date"]), "subject": decoded(header["Subject"]), "text": body_text(message)}


def messages(folder):
    if not (folder / "labels.csv").exists():
        return
    labels = dict(line.split(",")[:2] for line in (folder / "labels.csv").read_text("utf-8").splitlines()[1:])
    archive = folder / "messages.tar.xz"
    if not archive.exists():
        for name, label in labels.items():
            yield message_item(name, (folder / "messages" / name).read_bytes(), label)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            name = "/".join(member.name.split("/")[-2:])
            if member.isfile() and name in labels:
                yield message_item(name, tar.extractfile(member).read(), labels[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    count = undated = empty = 0
    with open(arguments.out, "w", encoding="utf-8") as out:
        for mails in (documents(arguments.data / "emails-state-foia"), messages(arguments.data / "emails-spamassassin")):
            for mail in mails:
                mail["text"] = mail["text"][:TEXT_CHARACTERS]
                undated += mail["date"] is None
                empty += not mail["text"]
                out.write(json.dumps({key: value for key, value in mail.items() if value not in (None, "")} |
                                     {"text": mail["text"]}, ensure_ascii=False) + "\n")
                count += 1
    print(f"{count} e-mails: {undated} without a date that can be read, {empty} without a text", file=sys.stderr)


if __name__ == "__main__":
    main()
