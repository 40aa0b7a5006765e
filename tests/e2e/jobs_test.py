#!/usr/bin/env python3
"""The pipelines of the jobs places, emails, stories and opportunities on the small samples in demo/jobs/sample, with the
backend `local`, by the script that users start. jobs_test.py MILLRACE"""

import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest

JOBS = pathlib.Path(__file__).resolve().parents[2] / "demo" / "jobs"
MILLRACE = os.path.abspath(sys.argv[1])


class JobsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)

    def run_job(self, job):
        environment = {**os.environ, "MILLRACE": MILLRACE, "MILLRACE_DATA": str(JOBS / "sample"), "OUT": str(self.out)}
        environment.pop("MILLRACE_SERVER", None)
        done = subprocess.run([JOBS / "run", job], env=environment, capture_output=True, text=True, timeout=250)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def run_twice(self, job, summary):
        """The second run reuses every result."""
        self.assertRegex(self.run_job(job), summary)
        self.assertIn("nothing was computed: every result was memoized", self.run_job(job))

    def rows(self, database, query):
        connection = sqlite3.connect(f"file:{self.out / database}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def test_places_are_described_in_one_call_each(self):
        self.run_twice("places", r"done: 5 checked of 5 places in .* 4 calls \(local\), .* 0 degraded")
        self.assertEqual(self.rows("places.db", "SELECT id, newest_review, model FROM places ORDER BY id"),
                         [("p1", "2025-03-14", "local"), ("p2", "2025-04-02", "local"), ("p3", "2025-06-01", "local"),
                          ("p4", "2025-02-03", "local"), ("p5", None, "rules")])
        self.assertEqual(self.rows("places.db", "SELECT id FROM places WHERE hours_french IS NOT NULL ORDER BY id"),
                         [("p1",), ("p2",), ("p4",)])
        self.assertEqual(
            self.rows("places.db", "SELECT amenity FROM place_amenities WHERE place_id = 'p1' ORDER BY amenity"),
            [("free weights",), ("gym",), ("lockers",), ("machines",), ("parking",), ("sauna",), ("showers",)])
        self.assertEqual(self.rows("places.db", "SELECT count(*) FROM place_base"), [(5,)])

    def test_emails_have_a_type_a_priority_and_a_date(self):
        self.run_twice("emails", r"done: 11 gated of 12 emails in .* 11 calls \(local\), .* 0 degraded")
        self.assertEqual(self.rows("emails.db", "SELECT id, date, type, priority FROM emails ORDER BY id"), [
            ("D1", "2025-03-03T12:44:00", "request", "urgent"),
            ("D2", "2025-03-03T14:05:00", "meeting", "normal"),
            ("D3", None, "forward", "normal"),
            ("D4", "2025-03-05T00:05:00", "message", "normal"),
            ("ham/1.eml", "2025-03-05T09:15:00Z", "request", "high"),
            ("ham/2.eml", "2025-03-05T03:00:00Z", "notification", "low"),
            ("ham/3.eml", "2025-03-06T14:00:00Z", "meeting", "urgent"),
            ("ham/4.eml", "2025-03-07T09:00:00Z", "list", "low"),
            ("spam/1.eml", "2025-03-07T01:00:00Z", "bulk", "low"),
            ("spam/2.eml", None, "bulk", "low"),
            ("spam/3.eml", None, "bulk", "low"),
        ])
        self.assertEqual(self.rows("emails.db", "SELECT subject FROM emails WHERE id IN ('ham/1.eml', 'D4') ORDER BY id"),
                         [("Come see me when you can",), ("Prüfung of the build",)])

    def test_stories_have_the_articles_of_one_event_within_the_time_window(self):
        self.run_twice("stories", r"done: 3 clusters of 12 articles in .* 3 calls \(local\), .* 0 degraded")
        stories = {}
        for story, article in self.rows("stories.db", "SELECT story_id, article_id FROM story_articles"):
            stories.setdefault(story, set()).add(article)
        self.assertCountEqual(stories.values(), [{"n01", "n02", "n03"}, {"n05", "n06", "n07"}, {"n08", "n09"}])
        self.assertEqual(self.rows("stories.db", "SELECT count(*) FROM stories WHERE story IS NULL OR title IS NULL"),
                         [(0,)])

    def test_opportunities_of_two_sources_have_one_shape(self):
        self.run_twice("opportunities", r"done: 12 signed of .* 12 calls \(local\), .* 0 degraded")
        self.assertEqual(self.rows("opportunities.db", "SELECT id, published, deadline, value_as_written, category, "
                                                       "priority FROM opportunities ORDER BY id"), [
            ("c-1", "2025-03-03", "2025-04-11", "£5 million", "construction", "normal"),
            ("c-2", "2025-03-03", "2025-04-01", "£120,000", "information technology", "high"),
            ("c-3", "2025-03-04", "2025-03-28", None, "information technology", "low"),
            ("c-4", "2025-03-04", "2025-04-25", None, "facilities", "low"),
            ("c-5", "2025-03-05", "2025-05-05", None, "social care", "low"),
            ("c-6", "2025-03-05", "2025-04-30", None, "facilities", "low"),
            ("c-7", "2025-03-06", "2025-05-30", None, "transport", "low"),
            ("n-1", "2025-02-18", "2025-03-28", None, "equipment", "low"),
            ("n-2", "2025-02-19", "2025-06-06", "$1.5 million", "research", "normal"),
            ("n-3", "2025-02-20", None, None, "other", "low"),
            ("n-4", None, None, None, "security", "low"),
            ("n-5", "2025-02-21", "2025-04-01", None, "finance", "low"),
        ])
        self.assertEqual(
            self.rows("opportunities.db", "SELECT title, organisation FROM opportunities WHERE id IN ('c-1', 'c-2')"),
            [("Roof works at St. Anne's Primary School", "Northbridge Council"),
             ("Cloud hosting and website for the harbour", "Southport Harbour & Docks")])

    def test_pipelines_are_valid(self):
        for job in ("places", "emails", "stories", "opportunities"):
            path = JOBS.parents[1] / "configs" / "pipelines" / f"{job}.yaml"
            done = subprocess.run([MILLRACE, "validate", path], cwd=self.out, capture_output=True, text=True, timeout=250)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(re.search(rf"pipeline {job} with \d+ stages is valid", done.stdout), done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
