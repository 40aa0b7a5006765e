// One connection of the HTTP client, plain or TLS, and what ends its waiting: a time limit or a cancel. For
// beast_client.cc only, so Asio may be included here.
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

// What came of one read or write.
struct Transfer {
  size_t bytes = 0;
  error_code error;
};

class Connection {
 public:
  explicit Connection(asio::io_context& context) : socket_(context) {}
  Connection(const Connection&) = delete;

  Task<error_code> Connect(asio::ip::tcp::endpoint endpoint);
  // Agrees on TLS with the host that `url` names.
  Task<error_code> Secure(asio::ssl::context& tls, const HttpUrl& url);
  // Writes some of `head`, then of `body`. Plain: no byte left the process where it says 0. TLS: unknown after an
  // error.
  Task<Transfer> Write(std::string_view head, std::string_view body);
  Task<Transfer> Read(char* bytes, size_t size);

  // Nothing has come, and the other side has not closed it. Does not wait.
  bool IsQuiet();
  bool is_tls() const { return tls_.has_value(); }
  // Ends it at once; what waits for it goes on with an error.
  void Close();

  TimePoint used_at{};

 private:
  asio::ip::tcp::socket socket_;
  std::optional<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
};

}  // namespace millrace
