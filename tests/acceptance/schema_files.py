"""The schemas of the book, docs/src/schema, for book.py and schemas.py. Needs jsonschema."""
import json
import os

import jsonschema
import referencing

DOCS = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/src"))


def load():
    schemas = {}
    for name in os.listdir(f"{DOCS}/schema"):
        with open(f"{DOCS}/schema/{name}", encoding="utf-8") as file:
            schemas[name.removesuffix(".json")] = schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
    return schemas


SCHEMAS = load()
REGISTRY = referencing.Registry().with_resources([(s["$id"], referencing.Resource.from_contents(s)) for s in SCHEMAS.values()])


def validator(reference):
    """Of `reading`, `request#/$defs/read`, or the like."""
    name, _, part = reference.partition("#")
    return jsonschema.Draft202012Validator({"$ref": f"{SCHEMAS[name]['$id']}#{part}"}, registry=REGISTRY)
