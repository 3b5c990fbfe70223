//! The parts of an OpenAPI 3.1 document that this API uses. All members keep their order.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The dialect of the schemas.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Where schemas are kept.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// A map from names to values that keeps the order of insertion.
#[derive(Debug, Clone)]
pub(super) struct Ordered<T>(pub(super) Vec<(String, T)>);

impl<T> Ordered<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, name: impl Into<String>, value: T) {
        self.0.push((name.into(), value));
    }

    /// Returns the value of this name; inserts it if there is none.
    pub(super) fn entry(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        let index = self.0.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.push(name, make());
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An example, written verbatim.
pub(super) type Example = Box<RawValue>;

/// Takes the text of an example.
pub(super) fn example(json: &str) -> Example {
    serde_json::from_str(json).expect("the examples are JSON, which a test shows")
}

/// A reference to a component by its name.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Reference {
    #[serde(rename = "$ref")]
    pub(super) to: String,
}

/// A schema: JSON Schema, draft 2020-12.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema {
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "const", skip_serializing_if = "Option::is_none")]
    constant: Option<serde_json::Value>,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    enum_values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Box<Schema>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_items: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_items: Option<usize>,
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    properties: Ordered<Schema>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    required: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_properties: Option<AdditionalProperties>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    any_of: Vec<Schema>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    one_of: Vec<Schema>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examples: Vec<Example>,
}

/// The JSON type of a value.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Kind {
    One(&'static str),
    OrNull([&'static str; 2]),
}

/// The further members that an object may have.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum AdditionalProperties {
    None(bool),
    Each(Box<Schema>),
}

impl Schema {
    fn of(kind: &'static str) -> Self {
        Self { kind: Some(Kind::One(kind)), ..Self::default() }
    }

    /// A reference to the schema of this name.
    pub(super) fn reference_to(name: &str) -> Self {
        Self { reference: Some(format!("{SCHEMAS}{name}")), ..Self::default() }
    }

    /// Any JSON value.
    pub(super) fn any() -> Self {
        Self::default()
    }

    pub(super) fn text() -> Self {
        Self::of("string")
    }

    /// A text of at least and at most so many characters.
    pub(super) fn text_of_length(chars: std::ops::RangeInclusive<usize>) -> Self {
        let min_length = Some(*chars.start()).filter(|min| *min > 0);
        Self { min_length, max_length: Some(*chars.end()), ..Self::text() }
    }

    /// One of a few texts.
    pub(super) fn string_enum<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self { enum_values: values.into_iter().map(Into::into).collect(), ..Self::text() }
    }

    /// This text and no other. The pattern says so again: generators that ignore constants tell the members of a union by it.
    pub(super) fn constant(text: impl Into<String>) -> Self {
        let text: String = text.into();
        let pattern = format!("^{}$", text.replace('.', r"\."));
        Self { constant: Some(text.into()), pattern: Some(pattern), ..Self::text() }
    }

    /// This number and no other.
    pub(super) fn constant_number(number: u16) -> Self {
        Self { constant: Some(number.into()), ..Self::of("integer") }
    }

    pub(super) fn boolean() -> Self {
        Self::of("boolean")
    }

    pub(super) fn integer(minimum: u64) -> Self {
        Self { minimum: Some(minimum), format: Some("int64"), ..Self::of("integer") }
    }

    /// A number; without the format, generators take one of 32 bits.
    pub(super) fn number(minimum: u64) -> Self {
        Self { minimum: Some(minimum), format: Some("double"), ..Self::of("number") }
    }

    pub(super) fn array(items: Self) -> Self {
        Self { items: Some(Box::new(items)), ..Self::of("array") }
    }

    pub(super) fn object() -> Self {
        Self::of("object")
    }

    /// An object with members of any names.
    pub(super) fn map(values: Self) -> Self {
        Self { additional_properties: Some(AdditionalProperties::Each(Box::new(values))), ..Self::object() }
    }

    pub(super) fn any_of(schemas: impl IntoIterator<Item = Self>) -> Self {
        Self { any_of: schemas.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn one_of(schemas: impl IntoIterator<Item = Self>) -> Self {
        Self { one_of: schemas.into_iter().collect(), ..Self::default() }
    }

    /// Adds a required member.
    pub(super) fn with(mut self, name: &str, schema: Self) -> Self {
        self.required.push(name.to_owned());
        self.with_optional(name, schema)
    }

    /// Adds an optional member.
    pub(super) fn with_optional(mut self, name: &str, schema: Self) -> Self {
        self.properties.push(name, schema);
        self
    }

    /// Refuses members that are not named.
    pub(super) fn without_additional_properties(mut self) -> Self {
        self.additional_properties = Some(AdditionalProperties::None(false));
        self
    }

    /// Null, too. The pattern is left out: clients of Go's generator apply it to the null.
    pub(super) fn or_null(mut self) -> Self {
        self.pattern = None;
        self.kind = match self.kind {
            Some(Kind::One(kind)) => Some(Kind::OrNull([kind, "null"])),
            other => other,
        };
        self
    }

    pub(super) fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(super) fn format(mut self, format: &'static str) -> Self {
        self.format = Some(format);
        self
    }

    pub(super) fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    pub(super) fn maximum(mut self, maximum: u64) -> Self {
        self.maximum = Some(maximum);
        self
    }

    pub(super) fn default_value(mut self, default: u64) -> Self {
        self.default = Some(default);
        self
    }

    pub(super) fn non_empty(mut self) -> Self {
        self.min_items = Some(1);
        self
    }

    pub(super) fn max_items(mut self, items: usize) -> Self {
        self.max_items = Some(items);
        self
    }

    pub(super) fn example(mut self, json: &str) -> Self {
        self.examples.push(example(json));
        self
    }
}

/// A parameter of a request: in its path, query or headers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    #[serde(rename = "in")]
    pub(super) location: &'static str,
    pub(super) description: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    pub(super) schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) example: Option<Example>,
}

/// A body in one media type.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Media {
    pub(super) schema: Schema,
    /// The schema of each line, if the body is lines: the `itemSchema` of OpenAPI 3.2.
    #[serde(rename = "x-itemSchema", skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<Schema>,
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub(super) examples: Ordered<NamedExample>,
}

/// An example with its summary.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NamedExample {
    pub(super) summary: String,
    pub(super) value: Example,
}

/// The body of a request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Body {
    pub(super) description: String,
    pub(super) required: bool,
    pub(super) content: Ordered<Media>,
}

/// A header of a response.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Header {
    pub(super) description: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    pub(super) schema: Schema,
}

/// A response.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Response {
    pub(super) description: String,
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub(super) headers: Ordered<Reference>,
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub(super) content: Ordered<Media>,
}

/// A response of one call, or a reference to one that many calls share.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum ResponseOrReference {
    Own(Response),
    Shared(Reference),
}

/// A call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    pub(super) operation_id: &'static str,
    pub(super) tags: [&'static str; 1],
    pub(super) summary: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_body: Option<Body>,
    pub(super) responses: Ordered<ResponseOrReference>,
    /// The alternatives of security requirements, each a scheme with its scopes.
    pub(super) security: Vec<Ordered<Vec<&'static str>>>,
}

/// The whole document.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) openapi: &'static str,
    pub(super) info: Info,
    #[serde(rename = "jsonSchemaDialect")]
    pub(super) dialect: &'static str,
    pub(super) servers: [Server; 1],
    pub(super) tags: Vec<Tag>,
    /// By path, then by method.
    pub(super) paths: Ordered<Ordered<Operation>>,
    pub(super) components: Components,
}

/// The metadata of the document.
#[derive(Debug, Serialize)]
pub(super) struct Info {
    pub(super) title: &'static str,
    pub(super) version: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) license: License,
}

/// The licence.
#[derive(Debug, Serialize)]
pub(super) struct License {
    pub(super) name: &'static str,
    pub(super) identifier: &'static str,
}

/// The address of a service.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) url: &'static str,
    pub(super) description: &'static str,
}

/// A group of calls.
#[derive(Debug, Serialize)]
pub(super) struct Tag {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

/// The components: named parts that operations refer to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Components {
    pub(super) schemas: Ordered<Schema>,
    pub(super) responses: Ordered<Response>,
    pub(super) headers: Ordered<Header>,
    pub(super) security_schemes: Ordered<SecurityScheme>,
}

/// The way in which callers authenticate.
#[derive(Debug, Serialize)]
pub(super) struct SecurityScheme {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) scheme: &'static str,
    pub(super) description: &'static str,
}
