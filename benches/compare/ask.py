"""One question to one tool: for each role, how many AssumeRole calls, and the largest packedPolicySize.

    ask.py chdb|duckdb|polars DIR THREADS OBJECT_BYTES    straight from the .json.gz files below DIR
    ask.py packtrail OUT                                  from the events.csv of a report, with what the memory bound needs

Prints a line a role: role, calls, largest size, by tabs. Each query is the fastest of those tried that is right; what was tried stands
beside it.
"""

import os
import sys

FILES = "/**/*.json.gz"


def chdb(directory, threads, object_bytes):
    # Typed columns. Slower: zipped arrays (on small files), JSONExtract from text, the type JSON (7 times).
    import chdb

    record = (
        "Tuple(eventSource String, eventName String, requestParameters Tuple(roleArn Nullable(String)),"
        " responseElements Tuple(packedPolicySize Nullable(Int64)))"
    )
    answer = chdb.query(
        f"""
        SELECT record.requestParameters.roleArn AS role, count(), max(record.responseElements.packedPolicySize)
        FROM (SELECT arrayJoin(Records) AS record FROM file('{directory}{FILES}', 'JSONEachRow', 'Records Array({record})'))
        WHERE record.eventSource = 'sts.amazonaws.com' AND record.eventName = 'AssumeRole' AND role IS NOT NULL
        GROUP BY role
        SETTINGS max_threads = {threads}, input_format_json_max_object_size = {object_bytes}, input_format_skip_unknown_fields = 1,
                 input_format_json_ignore_unknown_keys_in_named_tuple = 1,
                 input_format_json_defaults_for_missing_elements_in_named_tuple = 1, input_format_null_as_default = 1
        """,
        "TSV",
    )
    return [line.split("\t") for line in str(answer).splitlines()]


def duckdb(directory, threads, object_bytes):
    # Objects as text, records out of them as text, fields out of these. Slower: from_json with a structure (twice, and 40 times the memory),
    # read_json with columns (10 times), read_csv of whole lines.
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    return connection.execute(
        f"""
        SELECT record->>'$.requestParameters.roleArn' AS role, count(*), max((record->>'$.responseElements.packedPolicySize')::BIGINT)
        FROM (
            SELECT unnest(json_extract(json, '$.Records[*]')) AS record
            FROM read_json_objects('{directory}{FILES}', format = 'newline_delimited', maximum_object_size = {object_bytes}))
        WHERE record->>'$.eventSource' = 'sts.amazonaws.com' AND record->>'$.eventName' = 'AssumeRole' AND role IS NOT NULL
        GROUP BY role
        """
    ).fetchall()


def polars(directory, threads, object_bytes):
    # Slower: the engine for frames in memory, read_ndjson of each file in a pool of threads, json_decode of text.
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    record = pl.Struct(
        {
            "eventSource": pl.String,
            "eventName": pl.String,
            "requestParameters": pl.Struct({"roleArn": pl.String}),
            "responseElements": pl.Struct({"packedPolicySize": pl.Int64}),
        }
    )
    field = pl.col("Records").struct.field
    frame = (
        pl.scan_ndjson(directory + FILES, schema={"Records": pl.List(record)})
        .explode("Records")
        .select(
            source=field("eventSource"),
            name=field("eventName"),
            role=field("requestParameters").struct.field("roleArn"),
            size=field("responseElements").struct.field("packedPolicySize"),
        )
        .filter((pl.col("source") == "sts.amazonaws.com") & (pl.col("name") == "AssumeRole") & pl.col("role").is_not_null())
        .group_by("role")
        .agg(pl.len(), pl.col("size").max())
    )
    return frame.collect(engine="streaming").rows()


def packtrail(out):
    import csv

    roles, requests, calls = {}, {}, 0
    with open(os.path.join(out, "events.csv"), newline="") as file:
        for call in csv.DictReader(file):
            calls += 1
            if call["request_fingerprint"]:
                requests[call["request_fingerprint"]] = int(call["policy_chars"] or 0)
            if call["operation"] != "AssumeRole" or not call["role_arn"]:
                continue
            of_role = roles.setdefault(call["role_arn"], [0, None])
            of_role[0] += 1
            if call["observed_percent"]:
                size = int(float(call["observed_percent"]))
                of_role[1] = size if of_role[1] is None else max(of_role[1], size)
    print(f"calls {calls}, requests {len(requests)}, policies {sum(requests.values())}", file=sys.stderr)
    return [(role, *answer) for role, answer in roles.items()]


def main():
    tool, *arguments = sys.argv[1:]
    if tool == "packtrail":
        rows = packtrail(*arguments)
    else:
        directory, threads, object_bytes = arguments
        rows = {"chdb": chdb, "duckdb": duckdb, "polars": polars}[tool](directory, int(threads), int(object_bytes))
    for role, calls, size in sorted(rows):
        print(role, calls, size, sep="\t")


main()
