pub mod exporter;
pub mod http;
