// A remote backend behind a whole server: a client asks by Generate, and a gRPC server on this machine answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "backends/builtin.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"
#include "tests/rpc/peer.h"
#include "tests/storage/temporary_directory.h"

namespace millrace {
namespace {

using testing::AllOf;
using testing::HasSubstr;

StatusOr<v1::ServerConfig> Read(const std::string& remote) {
  return ReadServerConfig(
      "grpc: {address: \"127.0.0.1:0\"}\nbackends: [{name: r, remote: {" + remote +
          "}}]\nmodels: [{name: m, retry: {max_attempts: 1, initial_backoff: 1ms, max_backoff: 1ms},\n"
          "          targets: [{backend: r, model: m-1}]}]\n",
      "s.yaml", [](std::string_view) -> StatusOr<std::string> { return ""; }, backend::BuiltinBackends());
}

using Use = std::function<std::string(v1::CompletionService::Stub& stub, grpc::ClientContext& context)>;

// Calls an RPC of a server with this configuration of its backend. Returns what `use` does, or the error.
std::string With(const std::string& remote, const Use& use) {
  StatusOr<v1::ServerConfig> config = Read(remote);
  if (!config.ok()) return config.status().ToString();
  const TemporaryDirectory directory;
  config->set_data_dir(directory.path());
  CoordinatorOptions options;
  options.config = *std::move(config);
  options.kinds = backend::BuiltinBackends();
  const StatusOr<std::unique_ptr<Coordinator>> server = Coordinator::Start(std::move(options));
  if (!server.ok()) return server.status().ToString();
  const auto channel = grpc::CreateChannel("unix:" + (*server)->socket_path(), grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  return use(*v1::CompletionService::NewStub(channel), context);
}

// Asks once. Returns the text, or the error.
std::string Ask(const std::string& remote) {
  return With(remote, [](v1::CompletionService::Stub& stub, grpc::ClientContext& context) {
    v1::GenerateRequest request;
    request.set_model("m");
    request.add_messages()->set_role("user");
    request.mutable_messages(0)->set_content("hello");
    v1::GenerateResponse response;
    const grpc::Status status = stub.Generate(&context, request, &response);
    return status.ok() ? "OK " + response.text() : status.error_message();
  });
}

grpc::Status Say(Peer::Writer& writer, const std::string& answer_version) {
  backend::v1::GenerateResponse delta;
  delta.set_delta("hel");
  writer.Write(delta);
  backend::v1::GenerateResponse end;
  end.mutable_completion()->set_text("lo");
  end.mutable_completion()->set_finish_reason(backend::v1::FINISH_REASON_STOP);
  end.mutable_completion()->set_answer_version(answer_version);
  writer.Write(end);
  return grpc::Status::OK;
}

TEST(RemoteServerTest, AnswersComeWithTheTokenAndAfterRetries) {
  ::setenv("MILLRACE_TEST_TOKEN", "t-canary", 1);
  int calls = 0;
  std::string seen;
  Peer peer([&](grpc::ServerContext& context, const backend::v1::GenerateRequest& request, Peer::Writer& writer) {
    const auto token = context.client_metadata().find("authorization");
    if (token != context.client_metadata().end()) seen = std::string(token->second.data(), token->second.size());
    seen += " " + request.model() + " " + request.messages(0).content();
    if (++calls == 1) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy");
    return Say(writer, "2");
  });
  EXPECT_EQ(Ask("address: \"" + peer.address() + "\", answer_version: \"2\", token: {env: MILLRACE_TEST_TOKEN}"),
            "OK hello");
  EXPECT_EQ(seen, "Bearer t-canary m-1 hello");
  EXPECT_EQ(calls, 2);
}

TEST(RemoteServerTest, AnAnswerOfAnotherVersionIsRefusedWithARemedy) {
  Peer peer([](auto&, auto&, Peer::Writer& writer) { return Say(writer, "2"); });
  EXPECT_THAT(Ask("address: \"" + peer.address() + "\""), HasSubstr("correct `answer_version`"));
}

TEST(RemoteServerTest, ARefusalSaysWhy) {
  Peer peer([](auto&, auto&, Peer::Writer&) { return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "embeds only"); });
  EXPECT_THAT(Ask("address: \"" + peer.address() + "\""),
              AllOf(HasSubstr("UNIMPLEMENTED: embeds only"), HasSubstr("correct `address`, implement Generate")));
}

TEST(RemoteServerTest, AServerWithoutTheServiceIsAMistakeOfTheConfiguration) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  v1::CompletionService::Service other;
  builder.RegisterService(&other);
  const auto server = builder.BuildAndStart();
  EXPECT_THAT(Ask("address: \"127.0.0.1:" + std::to_string(port) + "\""),
              HasSubstr("does not serve millrace.backend.v1.BackendService: correct `address`"));
}

TEST(RemoteServerTest, TheProcessMayHaveACertificateOfAnAuthorityOfYours) {
  const Identity identity("localhost");
  Peer peer([](auto&, auto&, Peer::Writer& writer) { return Say(writer, ""); }, {.credentials = Peer::Tls(identity)});
  const std::string remote = "address: \"localhost:" + std::to_string(peer.port()) + "\", tls: true";
  EXPECT_EQ(Ask(remote + ", ca_file: \"" + identity.path() + "\""), "OK hello");
  EXPECT_THAT(Ask(remote + ", ca_file: \"/nowhere/ca.pem\""),
              AllOf(HasSubstr("ca_file"), HasSubstr("/nowhere/ca.pem")));
  EXPECT_THAT(Ask("address: \"localhost:1\", ca_file: \"ca.pem\""), HasSubstr("needs `tls: true`"));
}

TEST(RemoteServerTest, TextsAreEmbedded) {
  Peer peer([](auto&, auto&, Peer::Writer&) { return grpc::Status::OK; });
  const std::string shown = With("address: \"" + peer.address() + "\"", [](auto& stub, auto& context) {
    v1::EmbedRequest request;
    request.set_model("m");
    for (const char* text : {"a", "abc"}) request.add_texts(text);
    v1::EmbedResponse response;
    const grpc::Status status = stub.Embed(&context, request, &response);
    return status.ok() ? response.ShortDebugString() : status.error_message();
  });
  EXPECT_THAT(shown, HasSubstr("embeddings { vector: 1 vector: 1 } embeddings { vector: 3 vector: 1 }"));
}

TEST(RemoteServerTest, AddressesAreChecked) {
  for (const char* remote : {"address: \"8.8.8.8:70\"", "address: \"h:70\"", "address: \"127.0.0.1\"",
                             "address: \"127.0.0.1:\"", "address: \"127.0.0.1:0\"", "address: \"127.0.0.1:70/x\"",
                             "address: \"http://h:1\"", "address: \"169.254.169.254:70\", tls: true", "tls: true"}) {
    const auto config = Read(remote);
    ASSERT_FALSE(config.ok()) << remote;
    EXPECT_THAT(config.status().ToString(), HasSubstr("backends[0].remote")) << remote;
  }
  for (const char* remote : {"address: \"localhost:70\"", "address: \"10.0.0.1:70\"", "address: \"[::1]:70\"",
                             "address: \"h.example:70\", tls: true"}) {
    EXPECT_TRUE(Read(remote).ok()) << remote;
  }
}

}  // namespace
}  // namespace millrace
