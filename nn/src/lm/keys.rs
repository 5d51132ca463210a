//! Keys of a JSON object, read with faults that name them.

use super::fault::LmFault;
use serde_json::{Map, Value as Json};

/// The largest size that a configuration may name.
const MOST: u64 = 1 << 31;

/// An object of `config.json`.
pub(super) struct Keys<'a> {
    pub origin: &'a str,
    pub object: &'a Map<String, Json>,
}

impl Keys<'_> {
    pub fn fault(&self, key: &str, expected: &str) -> LmFault {
        let found = self.object.get(key).map_or_else(|| "nothing".to_owned(), Json::to_string);
        LmFault::Config { origin: self.origin.to_owned(), key: key.to_owned(), expected: expected.to_owned(), found }
    }

    /// A key with a value; none where it is missing or null.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub fn whole(&self, key: &str, default: Option<u64>) -> Result<usize, LmFault> {
        self.upto(key, default, MOST)
    }

    pub fn upto(&self, key: &str, default: Option<u64>, most: u64) -> Result<usize, LmFault> {
        let value = self.get(key).map_or(default, Json::as_u64).filter(|v| (1..=most).contains(v));
        Ok(value.ok_or_else(|| self.fault(key, &format!("a whole number from 1 to {most}")))? as usize)
    }

    pub fn number(&self, key: &str, default: Option<f64>) -> Result<f64, LmFault> {
        let value = self.get(key).map_or(default, Json::as_f64).filter(|v| v.is_finite() && *v > 0.0);
        value.ok_or_else(|| self.fault(key, "a positive number"))
    }

    pub fn truth(&self, key: &str, default: bool) -> Result<bool, LmFault> {
        self.get(key).map_or(Some(default), Json::as_bool).ok_or_else(|| self.fault(key, "true or false"))
    }

    /// A key whose only supported value is `value`, which it also has when it is missing.
    pub fn only(&self, key: &str, value: &Json) -> Result<(), LmFault> {
        let same =
            self.get(key).is_none_or(|found| found == value || found.as_f64() == value.as_f64() && found.is_number());
        if same { Ok(()) } else { Err(self.fault(key, &value.to_string())) }
    }

    pub fn tokens(&self, key: &str, default: &[u32]) -> Result<Vec<u32>, LmFault> {
        let token = |value: &Json| value.as_u64().and_then(|t| u32::try_from(t).ok());
        let found = match self.object.get(key) {
            None => Some(default.to_vec()),
            Some(Json::Null) => Some(Vec::new()),
            Some(Json::Array(all)) => all.iter().map(token).collect(),
            Some(value) => token(value).map(|token| vec![token]),
        };
        found.ok_or_else(|| self.fault(key, "a token or a list of tokens"))
    }
}
