//! Made-up customers: the personal data that a redaction policy has to find.
//!
//! Every value is a documented example (RFC 2606 domain, 555-01xx number, a social security number that was never
//! valid, the test card of payment processors). Nothing here is anybody's.

use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;

/// One customer, as `customer_lookup` returns it.
#[derive(Serialize, JsonSchema)]
pub struct Customer {
    id: String,
    name: &'static str,
    email: &'static str,
    phone: &'static str,
    /// Social security number
    ssn: &'static str,
    credit_card: &'static str,
    plan: &'static str,
    /// In cents
    balance_cents: i64,
}

impl Customer {
    /// The customer of any number.
    pub fn of(id: String) -> Self {
        Self {
            id,
            name: "Ada Example",
            email: "ada@example.com",
            phone: "+1 202-555-0143",
            ssn: "078-05-1120",
            credit_card: "4111 1111 1111 1111",
            plan: "gold",
            balance_cents: 1_250,
        }
    }
}
