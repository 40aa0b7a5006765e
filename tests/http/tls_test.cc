#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "tests/http/identity.h"
#include "tests/http/sending.h"
#include "tests/http/toxic_server.h"

namespace millrace {
namespace {

using testing::HasSubstr;

// Serves requests over TLS. `version_max` is the newest version that the server offers.
ToxicServer::Serve Serve(const Identity& identity, int version_max, std::string& server_name,
                         std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") {
  return [&identity, version_max, &server_name, answer](ToxicConnection& connection, int) {
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, version_max);
    SSL_CTX_use_certificate(context, identity.certificate());
    SSL_CTX_use_PrivateKey(context, identity.key());
    SSL* const ssl = SSL_new(context);
    SSL_set_fd(ssl, connection.socket());
    if (SSL_accept(ssl) == 1) {
      const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
      server_name = name == nullptr ? "" : name;
      char bytes[4096];
      while (SSL_read(ssl, bytes, sizeof bytes) > 0) SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
  };
}

std::string Url(const ToxicServer& server, std::string_view host) {
  return fmt::format("https://{}:{}/", host, server.port());
}

TEST(TlsTest, ConnectsToATrustedServerOfTheRightName) {
  const Identity identity("localhost");
  std::string name;
  ToxicServer server(Serve(identity, TLS1_3_VERSION, name));
  Sender sender({.idle_max = std::chrono::seconds(30), .ca_file = identity.path()});
  const Sent first = sender.Send(Url(server, "localhost"));
  EXPECT_EQ(first.outcome, HttpOutcome::kAnswered) << first.error;
  EXPECT_EQ(first.body, "hi");
  EXPECT_EQ(name, "localhost");
  EXPECT_TRUE(sender.Send(Url(server, "localhost")).reused_connection);
}

// Records of TLS are read in two steps; see Connection::Read.
TEST(TlsTest, ReadsAnswersOfAnySize) {
  const Identity identity("localhost");
  std::string name;
  std::string body;
  for (int i = 0; body.size() < 1'000'000; ++i) body += fmt::format("{} ", i);
  for (const size_t size : {size_t{1}, size_t{16'384}, size_t{16'385}, body.size()}) {
    const std::string_view part = std::string_view(body).substr(0, size);
    ToxicServer server(Serve(identity, TLS1_3_VERSION, name,
                             fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", size, part)));
    Sender sender({.idle_max = std::chrono::seconds(30), .ca_file = identity.path()});
    const Sent sent = sender.Send(Url(server, "localhost"));
    EXPECT_EQ(sent.outcome, HttpOutcome::kAnswered) << sent.error;
    EXPECT_EQ(sent.body, part);
  }
}

TEST(TlsTest, ReadsCertificatesOnceAndOnlyForTls) {
  const Identity identity("localhost");
  std::string name;
  ToxicServer secure(Serve(identity, TLS1_3_VERSION, name));
  ToxicServer plain([](ToxicConnection& connection, int) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
  });
  Sender sender({.idle_max = Duration(0), .ca_file = identity.path()});
  EXPECT_EQ(sender.Send(plain.url()).body, "hi");
  EXPECT_EQ(sender.works(), 0);
  for (int i = 0; i < 2; ++i) {
    const Sent result = sender.Send(Url(secure, "localhost"));
    EXPECT_EQ(result.outcome, HttpOutcome::kAnswered) << result.error;
    EXPECT_FALSE(result.reused_connection);
  }
  EXPECT_EQ(sender.works(), 1);
}

TEST(TlsTest, SendsNothingToAnUntrustedServer) {
  const Identity localhost("localhost");
  const Identity other("other.example");
  std::string name;
  ToxicServer trusted(Serve(localhost, TLS1_3_VERSION, name));
  ToxicServer misnamed(Serve(other, TLS1_3_VERSION, name));
  ToxicServer old(Serve(localhost, TLS1_1_VERSION, name));
  ToxicServer plain([](ToxicConnection& connection, int) { connection.Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  Sender knows_none;
  Sender knows_localhost({.idle_max = std::chrono::seconds(30), .ca_file = localhost.path()});
  Sender knows_other({.idle_max = std::chrono::seconds(30), .ca_file = other.path()});
  for (const Sent& result :
       {knows_none.Send(Url(trusted, "localhost")), knows_localhost.Send(Url(trusted, "127.0.0.1")),
        knows_other.Send(Url(misnamed, "localhost")), knows_localhost.Send(Url(old, "localhost")),
        knows_localhost.Send(Url(plain, "localhost"))}) {
    EXPECT_EQ(result.outcome, HttpOutcome::kNotSent);
    EXPECT_EQ(result.bytes_sent, 0u);
    EXPECT_THAT(result.error, HasSubstr("TLS to "));
  }
}

}  // namespace
}  // namespace millrace
