//! The fields of a record that matter here, read leniently: a field of another type than expected counts as absent.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A text that is absent where it is empty: no name, id, ARN or policy is.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    Ok(sent(from)?.filter(|text| !text.is_empty()))
}

/// A text, also an empty one, as the value of a tag may be: borrowed where the JSON has no escapes, absent where the field holds no text.
fn sent<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    struct TextVisitor<'a>(PhantomData<&'a ()>);

    macro_rules! none {
        ($($name:ident: $type:ty),*) => {
            $(fn $name<E>(self, _: $type) -> Result<Self::Value, E> { Ok(None) })*
        };
    }

    impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
        type Value = Option<Cow<'a, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text)))
        }

        none!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    from.deserialize_any(TextVisitor(PhantomData))
}

/// Reads the parts of one record and notes whether one of them, though of the right type, could not be read.
#[derive(Default)]
pub(super) struct Parts {
    failed: Cell<bool>,
}

impl Parts {
    /// The object `raw` as `T`; None when absent, of another type or unreadable.
    pub(super) fn object<'a, T: Deserialize<'a>>(&self, raw: Option<&'a str>) -> Option<T> {
        self.read(raw.filter(|raw| raw.starts_with('{')))
    }

    /// The objects in the list `raw`, each as `T`; none when absent, of another type or unreadable. Elements that are no objects are passed over.
    pub(super) fn objects<'a, T: Deserialize<'a>>(&self, raw: Option<&'a str>) -> Vec<T> {
        let elements: Vec<&'a RawValue> = self.read(raw.filter(|raw| raw.starts_with('['))).unwrap_or_default();
        elements.into_iter().filter_map(|element| self.object(Some(element.get()))).collect()
    }

    /// The ARNs in a list of `{arn}`.
    pub(super) fn policy_arns(&self, raw: Option<&str>) -> Vec<String> {
        let arns: Vec<PolicyArn<'_>> = self.objects(raw);
        arns.into_iter().filter_map(|one| one.arn.map(Cow::into_owned)).collect()
    }

    /// Tags as a list of `{key, value}` in either order, or as an object; both stand in real records.
    pub(super) fn tags(&self, raw: Option<&str>) -> Vec<(String, String)> {
        if raw.is_some_and(|raw| raw.starts_with('[')) {
            let pairs: Vec<Pair<'_>> = self.objects(raw);
            let tag = |pair: Pair<'_>| Some((pair.key?.into_owned(), pair.value.map(Cow::into_owned).unwrap_or_default()));
            return pairs.into_iter().filter_map(tag).collect();
        }
        self.object::<TagObject>(raw).unwrap_or_default().0
    }

    fn read<'a, T: Deserialize<'a>>(&self, raw: Option<&'a str>) -> Option<T> {
        let part = serde_json::from_str(raw?);
        // The type was looked at before: what is left is a key that stands twice, or a broken escape.
        self.failed.set(self.failed.get() || part.is_err());
        part.ok()
    }

    /// True when a part could not be read.
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }
}

/// A number, or a text that holds one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number(Option<f64>);

impl Number {
    /// What the text of a number says, or that in a string; nothing for any other text.
    pub(super) fn of(text: &str) -> Number {
        Number(text.parse().ok())
    }

    /// As a count; None when absent, negative or with a fraction.
    pub(super) fn count(self) -> Option<u32> {
        let value = self.0.filter(|value| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value))?;
        // In range and whole, checked above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(value as u32)
    }

    /// As points of a limit; None when absent or negative.
    pub(super) fn percent(self) -> Option<f64> {
        self.0.filter(|value| value.is_finite() && *value >= 0.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw: &RawValue = Deserialize::deserialize(from)?;
        if raw.get().starts_with('"') {
            let text: Cow<'_, str> = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
            return Ok(Number::of(&text));
        }
        Ok(Number::of(raw.get()))
    }
}

/// A record's own keys.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Record<'a> {
    #[serde(default, deserialize_with = "text")]
    pub event_source: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub event_name: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub event_category: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub event_time: Option<Cow<'a, str>>,
    #[serde(default, rename = "eventID", deserialize_with = "text")]
    pub event_id: Option<Cow<'a, str>>,
    #[serde(default, rename = "sharedEventID", deserialize_with = "text")]
    pub shared_event_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub aws_region: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub recipient_account_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub error_code: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub error_message: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub user_identity: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub request_parameters: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub response_elements: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub resources: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub addendum: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Parameters<'a> {
    #[serde(default, deserialize_with = "text")]
    pub role_arn: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub role_session_name: Option<Cow<'a, str>>,
    /// The federated user's name (GetFederationToken).
    #[serde(default, deserialize_with = "text")]
    pub name: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub source_identity: Option<Cow<'a, str>>,
    /// The SAML provider's ARN (AssumeRoleWithSAML).
    #[serde(default, rename = "principalArn", deserialize_with = "text")]
    pub saml_provider_arn: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub policy: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub policy_arns: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub tags: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub principal_tags: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub incoming_transitive_tags: Option<&'a RawValue>,
    #[serde(default)]
    pub minimum_session_token_size: Number,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Response<'a> {
    #[serde(default)]
    pub packed_policy_size: Number,
    #[serde(default)]
    pub session_token_size: Number,
    #[serde(default)]
    pub session_token_utilization: Number,
    #[serde(default, borrow)]
    pub credentials: Option<&'a RawValue>,
    /// The length of the session token that stands in the credentials.
    #[serde(skip)]
    pub logged_token_bytes: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Credentials<'a> {
    #[serde(default, deserialize_with = "text")]
    pub session_token: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Identity<'a> {
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub account_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub principal_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub identity_provider: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "text")]
    pub invoked_by: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub session_context: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub on_behalf_of: Option<&'a RawValue>,
    /// `arn` of the session's issuer.
    #[serde(skip)]
    pub issuer_arn: Option<Cow<'a, str>>,
    /// `userId` of the one on whose behalf.
    #[serde(skip)]
    pub user_id: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct SessionContext<'a> {
    #[serde(default, borrow)]
    pub session_issuer: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Issuer<'a> {
    #[serde(default, deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct OnBehalfOf<'a> {
    #[serde(default, deserialize_with = "text")]
    pub user_id: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Addendum<'a> {
    #[serde(default, deserialize_with = "text")]
    pub reason: Option<Cow<'a, str>>,
    #[serde(default, rename = "originalEventID", deserialize_with = "text")]
    pub original_event_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Resource<'a> {
    #[serde(default, rename = "ARN", alias = "arn", deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct PolicyArn<'a> {
    #[serde(default, deserialize_with = "text")]
    pub arn: Option<Cow<'a, str>>,
}

/// A tag of a list.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Pair<'a> {
    #[serde(default, deserialize_with = "sent")]
    key: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "sent")]
    value: Option<Cow<'a, str>>,
}

/// Tags as an object; of a key that stands twice the last counts.
#[derive(Default)]
struct TagObject(Vec<(String, String)>);

impl<'de> Deserialize<'de> for TagObject {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TagsVisitor;

        /// A tag's value; anything but a text is an empty one.
        struct Value(String);

        impl<'de> Deserialize<'de> for Value {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                sent(from).map(|text| Value(text.map(Cow::into_owned).unwrap_or_default()))
            }
        }

        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = TagObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tags as an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagObject, A::Error> {
                let mut tags = BTreeMap::new();
                while let Some((key, Value(value))) = map.next_entry::<String, Value>()? {
                    tags.insert(key, value);
                }
                Ok(TagObject(tags.into_iter().collect()))
            }
        }

        from.deserialize_any(TagsVisitor)
    }
}
