"""docs/scale.md as it stands: one run an account, then the page's own SQL, against one run over everything.

usage: scale.py PACKTRAIL    (needs duckdb)
"""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import duckdb

PACKTRAIL = sys.argv[1]
SAMPLES = "samples/AWSLogs/o-exampleorg"
ROOT = "s3://example-reports/packtrail/"


def packtrail(*arguments):
    subprocess.run([PACKTRAIL, *arguments, "--quiet"], check=True)


def of_whole(out):
    with open(f"{out}/principals.csv", newline="") as file:
        rows = [(row["role_arn"] or None, row["caller"], row["operation"], row["status"], int(row["calls"])) for row in csv.DictReader(file)]
    return sorted(rows, key=str)


def refused_elsewhere(organisation):
    """Adds a call that is refused for size in another account: CloudTrail logs it in the caller's account alone."""
    for folder, _, names in os.walk(organisation):
        for name in names:
            with gzip.open(os.path.join(folder, name)) as file:
                records = json.load(file).get("Records", [])
            for record in records:
                role = (record.get("requestParameters") or {}).get("roleArn", "::::").split(":")[4]
                if record.get("sharedEventID") and role not in ("", record["recipientAccountId"]):
                    del record["sharedEventID"]
                    message = "Packed policy consumes 101% of allotted space, please use smaller policy."
                    record |= {"eventID": "11111111-2222-4333-8444-555555555555", "errorCode": "PackedPolicyTooLargeException"}
                    record |= {"errorMessage": message, "responseElements": None}
                    with gzip.open(os.path.join(folder, name.replace(".json.gz", "x.json.gz")), "wt") as file:
                        json.dump({"Records": [record]}, file)
                    return
    raise AssertionError("no call into another account")


with tempfile.TemporaryDirectory() as place:
    organisation = f"{place}/o-exampleorg"
    shutil.copytree(SAMPLES, organisation)
    refused_elsewhere(organisation)
    profile = f"{place}/profile.json"
    packtrail("calibrate", organisation, "--out", profile)
    packtrail("analyze", organisation, "--profile", profile, "--out", f"{place}/whole", "--format", "csv")
    accounts = sorted(os.listdir(organisation))
    for account in accounts:
        out = ["--state", f"{place}/state/account={account}", "--out", f"{place}/report/account={account}", "--layout", "hive"]
        packtrail("analyze", f"{organisation}/{account}", "--profile", profile, *out)

    with open("docs/scale.md") as file:
        (sql,) = re.findall(r"```sql\n(.*?)```", file.read(), re.DOTALL)
    assert ROOT in sql
    connection = duckdb.connect()
    *views, question = [statement for statement in sql.replace(ROOT, f"{place}/").split(";") if statement.strip()]
    for view in views:
        connection.execute(view)
    answer = connection.execute(question)
    columns = [column[0] for column in answer.description]
    rows = [dict(zip(columns, row)) for row in answer.fetchall()]
    merged = sorted([(row["role_arn"], row["caller"], row["operation"], row["status"], row["calls"]) for row in rows], key=str)

    whole = of_whole(f"{place}/whole")
    apart = connection.execute("SELECT count(*), sum(calls) FROM principals").fetchone()
    assert merged == whole, (set(whole) - set(merged), set(merged) - set(whole))
    # The split must have cost something, or this shows nothing.
    assert apart[0] > len(whole) and apart[1] > sum(row[4] for row in whole), apart
    print(f"{len(accounts)} accounts apart: {apart[0]} findings, {apart[1]} calls; merged: {len(merged)}, {sum(row[4] for row in merged)}, as in one run")
