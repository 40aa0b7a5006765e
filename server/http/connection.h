// One connection of the HTTP client, plain or TLS. For beast_client.cc only, so this header may include Asio.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/loop.h"
#include "server/http/client.h"
#include "server/http/url.h"

namespace millrace {

namespace asio = boost::asio;
using boost::system::error_code;

// Result of one read or write.
struct Transfer {
  size_t bytes = 0;  // bytes transferred, also if there is an error
  error_code error;
};

// A socket with an optional TLS layer. Loop's thread only.
class Connection {
 public:
  explicit Connection(asio::io_context& context) : socket_(context) {}
  Connection(const Connection&) = delete;

  Task<error_code> Connect(asio::ip::tcp::endpoint endpoint);
  // Makes the TLS handshake; fails if the certificate is not trusted or is not for the host of `url`.
  Task<error_code> Secure(asio::ssl::context& tls, const HttpUrl& url);
  // Writes some bytes of `head` and then of `body`. A plain connection that reports 0 bytes has sent none; after an
  // error of TLS the number of bytes sent is unknown.
  Task<Transfer> Write(std::string_view head, std::string_view body);
  // Reads 1 to `size` bytes; error `eof` if the other side has closed the connection in order. Writes to `bytes` only
  // just before it resumes, so that all connections may share one buffer, if its content is used before the next
  // co_await.
  Task<Transfer> Read(char* bytes, size_t size);

  // Returns true if nothing has arrived and the other side has not closed the connection. Does not wait.
  bool IsQuiet();
  bool is_tls() const { return tls_.has_value(); }
  // Closes the socket at once; suspended calls resume with an error.
  void Close();

  TimePoint used_at{};  // end of the last request, for the client's idle limit

 private:
  asio::ip::tcp::socket socket_;
  std::optional<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
};

}  // namespace millrace
