"""The YAML of deploy/ parses and holds what the page says of it. Needs pyyaml."""

import json
import pathlib

import yaml

deploy = pathlib.Path(__file__).parent.parent / "deploy"
documents = list(yaml.safe_load_all((deploy / "cronjob.yaml").read_text()))
assert [(one["apiVersion"], one["kind"]) for one in documents] == [("v1", "Namespace"), ("v1", "ServiceAccount"), ("batch/v1", "CronJob")]
namespace, account, cronjob = documents
assert {one["metadata"].get("namespace", "packtrail") for one in documents} == {"packtrail"} == {namespace["metadata"]["name"]}
assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")

spec = cronjob["spec"]
assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"] == "Etc/UTC"
line = next(line for line in (deploy / "crontab").read_text().splitlines() if "packtrail analyze" in line and not line.startswith("#"))
assert spec["schedule"] == " ".join(line.split()[:5]), "the schedule of cron"
job = spec["jobTemplate"]["spec"]
pod = job["template"]["spec"]
# What a policy for failures asks for.
assert pod["restartPolicy"] == "Never"
[container] = pod["containers"]
rule = job["podFailurePolicy"]["rules"][0]
assert rule["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [2, 3, 4, 10]}
assert pod["serviceAccountName"] == account["metadata"]["name"]
assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
security = container["securityContext"]
assert security == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, security
assert set(container["resources"]["requests"]) == {"cpu", "memory"} and "memory" in container["resources"]["limits"]
# The one place it may write to is there.
assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
assert all(isinstance(argument, str) for argument in container["args"])

policy = json.loads((deploy / "iam-policy.json").read_text())
sids = [statement["Sid"] for statement in policy["Statement"]]
page = (deploy / "README.md").read_text()
assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)
assert all(f"`{sid}`" in page for sid in ("DecryptTrail", "OnlyWithRoleArn"))
# Size limit of a managed policy, without white space.
assert len(json.dumps(policy, separators=(",", ":"))) <= 6144
print("deploy: the CronJob, its account and the policy are as the page says")
