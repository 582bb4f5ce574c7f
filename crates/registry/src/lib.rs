//! Container images by reference: OCI layouts and archives, and converting what they hold.
