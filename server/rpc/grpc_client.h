// RPCs of gRPC behind the interface of the HTTP client, so that limits, records and outcomes of attempts are the same
// for both.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/http/client.h"

namespace millrace {

struct GrpcClientOptions {
  size_t response_bytes_max = 8u << 20;  // largest message that is accepted
  // Certificates in PEM form that are trusted for an origin (OriginOf), instead of those of the machine.
  std::map<std::string, std::string> roots;
};

// Makes a client that sends requests to `grpc://host:port/package.Service/Method` (plaintext) and `grpcs://…` (TLS) as
// RPCs, and all other requests by `others`. Both must outlive it. Destroy it after the loop has stopped and before the
// loop is abandoned.
//
// The body of a request is its one message, its headers are metadata. The response has status 200, the initial metadata
// as headers, and as body the messages as they are on the wire: a byte that is 0, the length in four bytes (big-endian)
// and the bytes. An RPC that its server refuses before the first message is a response with the HTTP status of the same
// meaning (rpc_status.h) and the words of the refusal as body. An RPC that ends otherwise has no response: its outcome
// is kNotSent if its message was not, else kUnknown before the first message and kPartial after it.
//
// Channels are kept by scheme, host and port until a time limit passes, and never send an RPC twice.
std::unique_ptr<HttpClient> MakeGrpcClient(Loop& loop, HttpClient& others, GrpcClientOptions options);

}  // namespace millrace
