import { z } from "zod";
import { editorFormOf } from "./fields.ts";
import type { EditorForm } from "./fields.ts";
import { inventorySchema } from "./inventory-schema.ts";
import { policyFileSchema } from "./policy-schema.ts";

/**
 * JSON Schemas for editors, made from the schemas that files are read by. They complete keys and underline slips while somebody types; what only makes sense together (two repositories in one place, a
 * schedule of two kinds) is left to `holdfast policy validate`. A file that loads is never underlined.
 */
export function inventoryEditorSchema(): EditorForm {
  return { ...toJson(inventorySchema), $schema: DRAFT, title: "Holdfast inventory (holdfast.yaml)" };
}

/** A policy that extends another may leave out whatever is required, and take parts away with `none`. */
export function policyEditorSchema(): EditorForm {
  const whole = toJson(policyFileSchema);
  return {
    $schema: DRAFT,
    title: "Holdfast policy (policies/NAME.yaml)",
    type: "object",
    if: { required: ["extends"] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
    then: { $ref: "#/definitions/extending" },
    else: { $ref: "#/definitions/whole" },
    definitions: { whole, extending: { ...asExtension(whole), required: ["version", "name", "extends"] } },
  };
}

const DRAFT = "http://json-schema.org/draft-07/schema#";

function toJson(schema: z.ZodType): EditorForm {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const form = editorFormOf(zodSchema);
      if (form === null) return;
      for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key);
      Object.assign(jsonSchema, isList(form) ? { anyOf: form.map((each) => (each instanceof z.ZodType ? toJson(each) : each)) } : form);
    },
  });
  return json;
}

function isList<T>(form: T | readonly T[]): form is readonly T[] {
  return Array.isArray(form);
}

/** Of a part: nothing in it is required, and each part of it may be taken away. */
function asExtension(form: EditorForm): EditorForm {
  const { required: _, ...rest } = form;
  const { properties } = rest;
  if (typeof properties !== "object" || properties === null) return rest;
  const parts = Object.entries(properties as Record<string, EditorForm>).map(([key, part]) => [key, part["type"] === "object" ? orNone(asExtension(part)) : orNone(part)]);
  return { ...rest, properties: Object.fromEntries(parts) as EditorForm };
}

function orNone(form: EditorForm): EditorForm {
  return { anyOf: [form, { const: "none" }] };
}
