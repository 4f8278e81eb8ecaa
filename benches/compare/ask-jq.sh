#!/usr/bin/env bash
# The question of ask.py to jq: ask-jq.sh DIR PROCESSES FILES_AT_ONCE
# Each batch adds up its own calls, so that what the processes write into one pipe is a few whole lines each.
set -euo pipefail
if [ "$1" = batch ]; then
  shift
  gzip -dc "$@" |
    jq -r '.Records[]
      | select(.eventSource == "sts.amazonaws.com" and .eventName == "AssumeRole" and .requestParameters.roleArn != null)
      | "\(.requestParameters.roleArn)\t1\t\(.responseElements.packedPolicySize)"'
else
  find "$1" -name '*.json.gz' -print0 | xargs -0 -P "$2" -n "$3" "$0" batch
fi |
  awk -F '\t' -v OFS='\t' '
    { calls[$1] += $2; if (!($1 in size) || $3 + 0 > size[$1]) size[$1] = $3 + 0 }
    END { for (role in calls) print role, calls[role], size[role] }'
