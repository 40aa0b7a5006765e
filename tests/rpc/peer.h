// A gRPC server on this machine that serves Generate by a function.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "millrace/backend/v1/backend_service.grpc.pb.h"
#include "tests/http/identity.h"

namespace millrace {

class Peer final : public backend::v1::BackendService::Service {
 public:
  using Writer = grpc::ServerWriter<backend::v1::GenerateResponse>;
  using Answer = std::function<grpc::Status(grpc::ServerContext&, const backend::v1::GenerateRequest&, Writer&)>;

  struct Options {
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
    int streams_max = 1000;             // RPCs in flight of one connection
    int request_bytes_max = 4'194'304;  // size of a request
  };

  explicit Peer(Answer answer) : Peer(std::move(answer), Options()) {}
  Peer(Answer answer, const Options& options) : answer_(std::move(answer)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", options.credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.streams_max);
    builder.SetMaxReceiveMessageSize(options.request_bytes_max);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Peer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  // Returns credentials of a server with this certificate and its key.
  static std::shared_ptr<grpc::ServerCredentials> Tls(const Identity& identity) {
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({identity.KeyPem(), identity.CertificatePem()});
    return grpc::SslServerCredentials(options);
  }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  grpc::Status Describe(grpc::ServerContext*, const backend::v1::DescribeRequest*,
                        backend::v1::DescribeResponse* response) override {
    response->set_name("peer 1");
    response->add_models("m-1");
    return grpc::Status::OK;
  }
  grpc::Status Generate(grpc::ServerContext* context, const backend::v1::GenerateRequest* request,
                        Writer* writer) override {
    return answer_(*context, *request, *writer);
  }
  // Embeds each text as its length and 1.
  grpc::Status Embed(grpc::ServerContext*, const backend::v1::EmbedRequest* request,
                     backend::v1::EmbedResponse* response) override {
    for (const std::string& text : request->texts()) {
      backend::v1::Embedding& embedding = *response->add_embeddings();
      embedding.add_numbers(static_cast<float>(text.size()));
      embedding.add_numbers(1);
    }
    return grpc::Status::OK;
  }

  const Answer answer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace millrace
