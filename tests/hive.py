"""A report in hive layout as others read it: DuckDB over the partitions against the flat CSV, and the statements for Athena through a SQL parser.

usage: hive.py PACKTRAIL [SOURCE]    (needs duckdb and sqlglot)
"""

import csv
import glob
import json
import os
import subprocess
import sys
import tempfile

import duckdb
import sqlglot
from sqlglot import exp

PACKTRAIL = sys.argv[1]
SOURCE = sys.argv[2] if len(sys.argv) > 2 else "samples"
TABLES = ["events", "principals", "daily", "fixes"]
# What DuckDB calls the types of packtrail's columns, and how CSV shows their values.
SHOWN = {
    "VARCHAR": """CASE WHEN regexp_matches({0}, '^[=+\\-@\\t\\r]') THEN '''' || {0} ELSE {0} END""",
    "TIMESTAMP WITH TIME ZONE": "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')",
    "DATE": "CAST({0} AS VARCHAR)",
    "BIGINT": "CAST({0} AS VARCHAR)",
    "DOUBLE": "printf('%.2f', {0})",
    "BOOLEAN": "CAST({0} AS VARCHAR)",
}
# The same types in Athena's DDL.
ATHENA = {"VARCHAR": "TEXT", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "DATE": "DATE", "BIGINT": "BIGINT", "DOUBLE": "DOUBLE", "BOOLEAN": "BOOLEAN"}


def analyze(source, out, *more):
    subprocess.run([PACKTRAIL, "analyze", source, "--out", out, "--quiet", *more], check=True)


def dataset(hive, table):
    """The table as a relation: partitioned ones by their folders, files in order."""
    files = sorted(glob.glob(f"{hive}/{table}/**/*.parquet", recursive=True))
    assert files, table
    listed = ", ".join(f"'{file}'" for file in files)
    return f"read_parquet([{listed}], hive_partitioning = true)"


def columns(hive, table):
    return {row[0]: row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM {dataset(hive, table)}").fetchall()}


def compare(flat, hive):
    for table in TABLES:
        with open(f"{flat}/{table}.csv", newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        types = columns(hive, table)
        # Partitioned tables have the column day; in events it is one more than in the flat table.
        assert sorted(types) == sorted(set(header) | ({"day"} if table == "events" else set())), (table, types)
        shown = ", ".join(f"coalesce({SHOWN[types[name]].format(name)}, '')" for name in header)
        found = [list(row) for row in duckdb.sql(f"SELECT {shown} FROM {dataset(hive, table)}").fetchall()]
        assert found == rows, (table, len(found), len(rows))
        print(f"{table}: {len(rows)} rows and {len(header)} columns as in the CSV")


def check_samples(flat, hive):
    events, daily = dataset(hive, "events"), dataset(hive, "daily")
    types = columns(hive, "events")
    assert types["account_id"] == "VARCHAR" and types["event_time"] == "TIMESTAMP WITH TIME ZONE" and types["day"] == "DATE", types
    coverage = json.load(open(f"{flat}/summary.json"))["coverage"]
    one = lambda query: duckdb.sql(query).fetchall()[0][0]
    assert one(f"SELECT count(*) FROM {events}") == coverage["kept_calls"]
    assert one(f"SELECT sum(calls) FROM {daily}") == coverage["kept_calls"]
    assert one(f"SELECT count(*) FROM {events} WHERE day <> CAST(event_time AT TIME ZONE 'UTC' AS DATE)") == 0
    # A condition on the partition gives what a condition on the time gives.
    by_time = one(f"SELECT count(*) FROM read_csv('{flat}/events.csv') WHERE CAST(event_time AT TIME ZONE 'UTC' AS DATE) = DATE '2026-08-05'")
    assert one(f"SELECT count(*) FROM {events} WHERE day = DATE '2026-08-05'") == by_time > 0


def check_leading_zeros(directory):
    account = "000011112222"
    record = {
        "eventVersion": "1.08", "eventID": "e-1", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "eventTime": "2026-09-20T23:59:59Z", "awsRegion": "us-east-1", "recipientAccountId": account,
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{account}:user/=formula"},
        "requestParameters": {"roleArn": f"arn:aws:iam::{account}:role/etl", "roleSessionName": "s"},
        "responseElements": {"sessionTokenSize": 800, "sessionTokenUtilization": 19, "packedPolicySize": 19},
    }
    log = f"{directory}/zeros.json"
    with open(log, "w") as file:
        json.dump({"Records": [record]}, file)
    analyze(log, f"{directory}/zeros-flat")
    analyze(log, f"{directory}/zeros", "--layout", "hive")
    compare(f"{directory}/zeros-flat", f"{directory}/zeros")
    found = duckdb.sql(f"SELECT account_id, CAST(day AS VARCHAR) FROM {dataset(f'{directory}/zeros', 'events')}").fetchall()
    assert found == [(account, "2026-09-20")], found
    # Without a call there is no partition, and the whole tables are there, empty.
    analyze(log, f"{directory}/zeros", "--layout", "hive", "--role", "none")
    assert not glob.glob(f"{directory}/zeros/events/*") and not glob.glob(f"{directory}/zeros/daily/*")
    assert duckdb.sql(f"SELECT count(*) FROM {dataset(f'{directory}/zeros', 'principals')}").fetchall() == [(0,)]


def check_athena(hive):
    text = subprocess.run([PACKTRAIL, "schema", "--athena", "s3://audit-reports/packtrail/"], check=True, capture_output=True, text=True).stdout
    for dialect in ["athena", "hive"]:
        statements = sqlglot.parse(text, read=dialect)
        assert all(isinstance(one, exp.Create) for one in statements), statements
        tables = {one.find(exp.Table).name: one for one in statements}
        assert sorted(tables) == sorted(f"packtrail_{table}" for table in TABLES), tables.keys()
        for table in TABLES:
            statement = tables[f"packtrail_{table}"]
            named = {column.name: column.args["kind"].this.value for column in statement.this.expressions if isinstance(column, exp.ColumnDef)}
            partition = statement.find(exp.PartitionedByProperty)
            by_day = table in ("events", "daily")
            assert (partition is not None) == by_day, table
            if by_day:
                assert [column.name for column in partition.this.expressions] == ["day"], partition
            expected = {name: ATHENA[kind] for name, kind in columns(hive, table).items() if not (by_day and name == "day")}
            assert named == expected, (table, named, expected)
            properties = {one.name: one.args["value"].name for one in statement.find_all(exp.Property) if type(one) is exp.Property}
            location = statement.find(exp.LocationProperty).this.name
            assert location == f"s3://audit-reports/packtrail/{table}/", location
            if by_day:
                # The template leads to where the partitions lie.
                template = properties["storage.location.template"]
                days = [path.split("/")[-2].split("=")[1] for path in glob.glob(f"{hive}/{table}/*/*.parquet")]
                for day in days:
                    path = template.replace("${day}", day).replace("s3://audit-reports/packtrail", hive)
                    assert os.path.isfile(f"{path}{table}.parquet"), path
        print(f"{dialect}: {len(statements)} statements, every column with the type of the dataset")


with tempfile.TemporaryDirectory() as directory:
    flat, hive = f"{directory}/flat", f"{directory}/hive"
    analyze(SOURCE, flat)
    analyze(SOURCE, hive, "--layout", "hive")
    compare(flat, hive)
    if SOURCE == "samples":
        check_samples(flat, hive)
    check_leading_zeros(directory)
    check_athena(hive)
