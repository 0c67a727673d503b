"""Autoscalers, their metrics, and what the Prometheus operator is given."""
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"

# What two fleets are said to measure, and what each expression must give for
# the one in the namespace urlsum: that it looks at the right things, and at no
# other fleet's.
SERIES = """
  - interval: 15s
    input_series:
      - {series: 'urlsum_broker_urls{namespace="urlsum",state="queued",pod="b"}', values: '2500x80'}
      - {series: 'urlsum_broker_urls{namespace="urlsum",state="fetching",pod="b"}', values: '500x80'}
      - {series: 'urlsum_broker_urls{namespace="urlsum",state="retrying",pod="b"}', values: '9000x80'}
      - {series: 'urlsum_broker_urls{namespace="urlsum",state="hashing",pod="b"}', values: '70x80'}
      - {series: 'urlsum_broker_urls{namespace="other",state="queued",pod="b"}', values: '9x80'}
      - {series: 'urlsum_hasher_threads{namespace="urlsum",pod="h1"}', values: '2x80'}
      - {series: 'urlsum_hasher_threads{namespace="urlsum",pod="h2"}', values: '2x80'}
      - {series: 'urlsum_hasher_threads{namespace="other",pod="h1"}', values: '8x80'}
      - {series: 'urlsum_hasher_hash_seconds_sum{namespace="urlsum",pod="h1"}', values: '0+30x80'}
      - {series: 'urlsum_hasher_hash_seconds_sum{namespace="urlsum",pod="h2"}', values: '0+15x80'}
      - {series: 'urlsum_hasher_hash_seconds_sum{namespace="other",pod="h1"}', values: '0+1x80'}
"""
# 3000 to fetch; (2 + 1) busy threads of 4.
VALUES = {"fetcher": 3000, "hasher": 0.75}


def metrics():
    """name -> labels, of docs/metrics.md; a histogram's three series too."""
    found = {}
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name, kind, labels in re.findall(
            r"^\| `(\w+)` \| (\w+) \| (.*?) \|", text, re.M):
        labels = set(re.findall(r"`(\w+)`", labels))
        for suffix in ("_sum", "_count", "_bucket") if kind == "histogram" \
                else ("",):
            found[name + suffix] = labels
    return found


def adapter_rules():
    text = (KUBERNETES / "hpa" / "adapter.yaml").read_text("utf-8")
    found = {}
    for rule in yaml.safe_load(text)["rules"]["external"]:
        series = re.match(r"\w+", rule["seriesQuery"]).group()
        name = rule.get("name")
        if name:
            if not re.search(name["matches"], series):
                raise ValueError(f"{name} is no name of {series}")
            series = re.sub(name["matches"], name["as"], series)
        found[series] = rule
    return found


def hpa_queries(documents):
    """target -> the query that the adapter makes for it, as it does."""
    found, errors, rules = {}, [], adapter_rules()
    for hpa in documents:
        metric = hpa["spec"]["metrics"][0]["external"]["metric"]
        if metric["name"] not in rules:
            errors.append(f"the adapter has no {metric['name']}")
            continue
        labels = ['namespace="urlsum"']
        for rule in metric.get("selector", {}).get("matchExpressions", []):
            labels.append(f'{rule["key"]}=~"{"|".join(rule["values"])}"')
        rule = rules[metric["name"]]
        if rule["resources"] != {"overrides":
                                 {"namespace": {"resource": "namespace"}}}:
            errors.append(f"{metric['name']}: of no namespace")
        found[hpa["spec"]["scaleTargetRef"]["name"]] = \
            rule["metricsQuery"].replace("<<.LabelMatchers>>",
                                         ",".join(labels))
    return found, errors


def keda_queries(documents):
    return {scaled["spec"]["scaleTargetRef"]["name"]:
            scaled["spec"]["triggers"][0]["metadata"]["query"]
            for scaled in documents}


def unknown(query):
    """Metrics, labels and states of a query that no program has."""
    known = metrics()
    states = set(re.findall(r'METRICS_LABEL\("state", "(\w+)"\)',
                            (ROOT / "broker" / "stats.c").read_text("utf-8")))
    for name, labels in re.findall(r"(urlsum_\w+)(?:\{([^}]*)\})?", query):
        if name not in known:
            yield f"there is no {name}"
            continue
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', labels):
            if label not in known[name] | {"namespace"}:
                yield f"{name} has no label {label}"
            if label == "state" and not set(values.split("|")) <= states:
                yield f"{name} has no state {values}"


def values(work, queries):
    """Has promtool compute them."""
    rules = [{"record": f"test:{name}", "expr": query}
             for name, query in queries.items()]
    (work / "queries.yml").write_text(yaml.safe_dump(
        {"groups": [{"name": "queries", "interval": "15s", "rules": rules}]}))
    tests = yaml.safe_load(SERIES)
    tests[0]["promql_expr_test"] = [
        {"expr": f"test:{name}", "eval_time": "15m",
         "exp_samples": [{"labels": f"test:{name}", "value": VALUES[name]}]}
        for name in queries]
    (work / "values.yml").write_text(yaml.safe_dump(
        {"rule_files": ["queries.yml"], "tests": tests}))
    run = subprocess.run(["promtool", "test", "rules", "values.yml"], cwd=work,
                         capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else [run.stdout + run.stderr]


def targets(documents, manifests):
    """They scale Deployments that do not say how many there are."""
    names = []
    for document in documents:
        ref = document["spec"]["scaleTargetRef"]
        names.append(ref["name"])
        target = manifests.get(ref.get("kind", "Deployment"), ref["name"])
        if not target:
            yield f"there is no {ref}"
        elif "replicas" in target["spec"]:
            yield f"{ref['name']}: replicas are set, and would be set again"
    if sorted(names) != ["fetcher", "hasher"]:
        yield f"they are for {names}"


def jobs(monitor):
    """The job names that the alerts go by are those that pods get."""
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8")
    wanted = set(re.findall(r'job="([\w-]+)"', alerts))
    endpoint, = monitor["spec"]["podMetricsEndpoints"]
    rule, = endpoint["relabelings"]
    if rule["targetLabel"] != "job" or rule["sourceLabels"] != [
            "__meta_kubernetes_pod_label_app_kubernetes_io_component"]:
        yield f"they are not named by their part: {rule}"
    made = {rule["replacement"].replace("$1", part)
            for part in ("broker", "fetcher", "hasher")}
    if not wanted or not wanted <= made:
        yield f"alerts want {wanted}, there are {made}"
    if endpoint["port"] != "http":
        yield f"there is no port {endpoint['port']}"


def check_all(report, work, manifests, extras):
    of = extras.of
    hpas, scaled = of("HorizontalPodAutoscaler"), of("ScaledObject")
    queries, errors = hpa_queries(hpas)
    report.check("hpa: the adapter has the metrics", errors)
    for name, documents, asked in (("hpa", hpas, queries),
                                   ("keda", scaled, keda_queries(scaled))):
        report.check(f"{name}: fetchers and hashers are scaled",
                     targets(documents, manifests))
        report.check(f"{name}: the metrics are the programs'",
                     [error for query in asked.values()
                      for error in unknown(query)])
        report.check(f"{name}: the expressions give what is to do",
                     values(work, asked))
        report.check(f"{name}: another expression is noticed", [] if values(
            work, {"fetcher": asked["fetcher"].replace("fetching", "hashing")})
                     else ["it is not"])
    report.check("an unknown metric, label or state is noticed", [
        f"not in {query}" for query in (
            "sum(urlsum_broker_url)", 'sum(urlsum_broker_urls{status="x"})',
            'sum(urlsum_broker_urls{state=~"queued|fetchin"})')
        if not list(unknown(query))])
    report.check("monitoring: jobs have the names that alerts go by",
                 [error for monitor in of("PodMonitor")
                  for error in jobs(monitor)])
    alerts = yaml.safe_load(
        (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
    report.check("monitoring: README's PrometheusRule has all alerts", [] if [
        rule["spec"] for rule in of("PrometheusRule")] == [alerts]
                 else ["it has others"])
