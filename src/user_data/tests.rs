//! What user-data is made of.
