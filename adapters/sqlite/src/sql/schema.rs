//! The tables for Diesel's query builder. The schema itself is in the package `tallyhouse-migrations`.

diesel::table! {
    records (position) {
        position -> BigInt,
        record_id -> Text,
        time -> BigInt,
        source_id -> Text,
        destination_id -> Text,
        #[sql_name = "type"]
        record_type -> Text,
        value -> Text,
        unit -> Text,
        reference -> Text,
        sequence -> BigInt,
        processed_at -> BigInt,
        previous -> Nullable<Text>,
        alerts -> Nullable<Text>,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    summaries (destination_id, reference) {
        destination_id -> Text,
        reference -> Text,
        summary -> Text,
    }
}

diesel::table! {
    outbox (first) {
        first -> BigInt,
        last -> BigInt,
        nonce -> BigInt,
        processed_at -> BigInt,
        owner -> Nullable<Text>,
        emitter -> Nullable<Text>,
    }
}

diesel::table! {
    leases (owner) {
        owner -> Text,
        until -> BigInt,
        length -> BigInt,
    }
}

diesel::table! {
    alert_rules (name) {
        name -> Text,
        rule -> Text,
        version -> BigInt,
        changed_at -> BigInt,
    }
}

diesel::table! {
    alert_rules_version (only_row) {
        only_row -> BigInt,
        version -> BigInt,
    }
}

diesel::table! {
    roll_up_position (only_row) {
        only_row -> BigInt,
        position -> BigInt,
    }
}
