//! Connections to programs of the cluster: plain, or TLS if the client was given certificates.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::Config;

/// How programs of the cluster are connected to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialler {
    #[cfg(feature = "tls")]
    mutual: Option<tls::Mutual>,
}

/// A connection that stands.
pub(crate) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Dialler {
    /// Reads what proves that the client belongs to the cluster.
    ///
    /// An error: what is wrong with a file, in one line.
    pub(crate) fn new(config: &Config) -> Result<Dialler, String> {
        #[cfg(feature = "tls")]
        let dialler = match &config.inner_tls {
            None => Dialler::default(),
            Some(files) => {
                let mutual = tls::Mutual::load(files).map_err(|error| error.to_string())?;
                for notice in mutual.notices() {
                    tracing::warn!("{notice}");
                }
                Dialler { mutual: Some(mutual) }
            }
        };
        #[cfg(not(feature = "tls"))]
        let (_, dialler) = (config, Dialler::default());
        Ok(dialler)
    }

    /// Connects. With TLS there is no connection before the other end has proved that it belongs to the cluster.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        if let Some(mutual) = &self.mutual {
            let connector = tokio_rustls::TlsConnector::from(mutual.client_config());
            let secured = connector.connect(tls::unnamed(), stream).await.map_err(explain)?;
            return Ok(Stream::Tls(Box::new(secured)));
        }
        Ok(Stream::Plain(stream))
    }
}

/// What a handshake that failed is to an operator.
#[cfg(feature = "tls")]
fn explain(error: io::Error) -> io::Error {
    let speaks_none =
        error.kind() == io::ErrorKind::UnexpectedEof || error.to_string().contains("InvalidContentType");
    let why = match speaks_none {
        true => {
            "it speaks no TLS: give it --inner-tls-ca, --inner-tls-cert and --inner-tls-key, too".to_owned()
        }
        false => format!("TLS: {error}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, why)
}
