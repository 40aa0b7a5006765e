// The contract of backends, through a whole server: a client asks by Generate and Embed, and a provider on this machine
// answers in the bytes of the backend's protocol, in pieces and with every framing of HTTP.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <mutex>

#include "millrace/v1/completion_service.grpc.pb.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"
#include "tests/contract/dialect.h"
#include "tests/contract/drive.h"
#include "tests/http/toxic_server.h"
#include "tests/storage/temporary_directory.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kSecret[] = "sk-canary-7f3a";

enum class Framing { kLength, kChunked, kClose, kCut };

// Returns the bytes of a response on the wire.
std::string Wire(const Response& response, Framing framing) {
  // The server closes each connection after its answer, and says so: a client that kept it could send its next question
  // just before it sees the close, and nobody would know whether that was answered.
  std::string wire = "HTTP/1.1 " + std::to_string(response.status) + " X\r\nConnection: close\r\n";
  for (const auto& [name, value] : response.headers) wire += name + ": " + value + "\r\n";
  const std::string& body = response.body;
  switch (framing) {
    case Framing::kLength:
      return wire + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    case Framing::kClose:
      return wire + "\r\n" + body;
    case Framing::kCut:
      return wire + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body.substr(0, body.size() / 2);
    case Framing::kChunked:
      break;
  }
  wire += "Transfer-Encoding: chunked\r\n\r\n";
  for (const char byte : body) wire += std::string("1\r\n") + byte + "\r\n";
  return wire + "0\r\n\r\n";
}

std::vector<NamedDialect> EmbeddingDialects() {
  std::vector<NamedDialect> dialects = Dialects();
  std::erase_if(dialects, [](const NamedDialect& dialect) { return !dialect.make()->Embed({}); });
  return dialects;
}

// Finds the backend of a dialect by the field `openai`, whatever the dialect's own field is.
BackendKinds KindsOf(const Dialect& dialect) {
  BackendKind kind;
  kind.name = "openai";
  kind.make = [&dialect](const v1::BackendConfig& config) { return dialect.MakeBackend(config.openai().base_url()); };
  kind.secret = [](const v1::BackendConfig& config) {
    return SecretUse{.secret = &config.openai().api_key(), .url = config.openai().base_url()};
  };
  BackendKinds kinds;
  kinds.Add(std::move(kind));
  return kinds;
}

class ServerContract : public testing::TestWithParam<NamedDialect> {
 protected:
  void SetUp() override {
    ::setenv("MILLRACE_TEST_CANARY", kSecret, 1);
    StatusOr<v1::ServerConfig> config = ReadServerConfig(
        "grpc: {address: \"127.0.0.1:0\"}\n"
        "backends: [{name: b, openai: {base_url: \"" +
            provider_.url("") +
            "\", api_key: {env: MILLRACE_TEST_CANARY}}}]\n"
            "models: [{name: m, on_unknown: fail, retry: {max_attempts: 1, initial_backoff: 1ms, max_backoff: 1ms},\n"
            "          targets: [{backend: b, model: m-1}]},\n"
            "         {name: e, on_unknown: fail, retry: {max_attempts: 1, initial_backoff: 1ms, max_backoff: 1ms},\n"
            "          targets: [{backend: b, model: \"" +
            dialect_->embedding_model() + "\"}]}]\n",
        "s.yaml", [](std::string_view) -> StatusOr<std::string> { return ""; }, KindsOf(*dialect_));
    ASSERT_TRUE(config.ok()) << config.status();
    config->set_data_dir(directory_.path());
    CoordinatorOptions options;
    options.config = *std::move(config);
    options.kinds = KindsOf(*dialect_);
    auto server = Coordinator::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::CompletionService::NewStub(
        grpc::CreateChannel("unix:" + server_->socket_path(), grpc::InsecureChannelCredentials()));
  }

  // Asks a question that was not asked before; the provider answers with these bytes, one after the other.
  std::string Ask(std::vector<std::string> wires, const std::string& schema = "") {
    Script(std::move(wires));
    v1::GenerateRequest request;
    request.set_model("m");
    request.set_output_schema(schema);
    request.set_repairs(0);
    v1::Message& message = *request.add_messages();
    message.set_role("user");
    message.set_content("question " + std::to_string(++questions_));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::GenerateResponse response;
    const grpc::Status status =
        streams_ ? Stream(context, request, response) : stub_->Generate(&context, request, &response);
    return status.ok() ? "OK " + response.text() : ReasonOf(status);
  }
  // Embeds three texts in one request; the provider answers with these bytes, one after the other. The texts are new
  // unless they are `repeated`. Returns the vectors, each with `cached` if it was.
  std::string Embed(std::vector<std::string> wires, bool repeated = false) {
    Script(std::move(wires));
    v1::EmbedRequest request;
    request.set_model("e");
    if (!repeated) ++questions_;
    for (const char* text : {"a", "b", "c"}) request.add_texts(text + std::to_string(questions_));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::EmbedResponse response;
    const grpc::Status status = stub_->Embed(&context, request, &response);
    if (!status.ok()) return ReasonOf(status);
    std::string shown;
    for (const v1::Embedding& embedding : response.embeddings()) {
      shown += embedding.cache_hit() ? "cached[" : "[";
      for (const float number : embedding.vector()) shown += fmt::format(" {}", number);
      shown += " ]";
    }
    return shown;
  }
  std::string Embed(const std::vector<std::string>& vectors, Framing framing) {
    return Embed({Wire(*dialect_->Embed(vectors), framing)});
  }
  // Lets the provider begin its next answer with this, and nothing more. The result is ready once its connection is
  // closed.
  std::future<void> Hold(std::string beginning) {
    const std::lock_guard lock(mutex_);
    held_ = std::move(beginning);
    return closed_.get_future();
  }
  std::string Ask(const Response& response, Framing framing = Framing::kLength) {
    return Ask({Wire(response, framing)});
  }

  const std::unique_ptr<Dialect> dialect_ = GetParam().make();
  v1::CompletionService::Stub& stub() { return *stub_; }

  bool streams_ = false;  // asks by StreamGenerate
  std::string text_;      // that its last stream gave before the answer

 private:
  void Script(std::vector<std::string> wires) {
    const std::lock_guard lock(mutex_);
    wires_ = std::move(wires);
  }
  // Returns the reason of an error, which must not have the secret.
  static std::string ReasonOf(const grpc::Status& status) {
    EXPECT_THAT(status.error_message(), Not(HasSubstr(kSecret)));
    EXPECT_THAT(status.error_details(), Not(HasSubstr(kSecret)));
    for (const char* reason :
         {"UNKNOWN_OUTCOME", "PROVIDER_CREDENTIALS", "PROVIDER_MODEL", "REQUEST_REFUSED", "BAD_RESPONSE",
          "EMPTY_ANSWER", "TRUNCATED", "CONTENT_FILTER", "REFUSAL", "NOT_JSON", "SCHEMA"}) {
      if (status.error_details().find(reason) != std::string::npos) return reason;
    }
    return status.error_message();
  }
  grpc::Status Stream(grpc::ClientContext& context, const v1::GenerateRequest& request, v1::GenerateResponse& answer) {
    v1::StreamGenerateRequest streamed;
    *streamed.mutable_generate() = request;
    const auto reader = stub_->StreamGenerate(&context, streamed);
    v1::StreamGenerateResponse response;
    text_.clear();
    while (reader->Read(&response)) {
      if (response.has_restart()) text_.clear();
      text_ += response.delta();
      answer = response.answer();
    }
    return reader->Finish();
  }
  void Serve(ToxicConnection& connection) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      // A probe of the server. The questions are what is tested here.
      if (request.starts_with("GET ")) {
        connection.Write("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
        continue;
      }
      std::string wire;
      {
        const std::lock_guard lock(mutex_);
        if (!held_.empty()) {
          connection.Write(held_);
          connection.WaitForClose();
          return closed_.set_value();
        }
        if (wires_.empty()) return;
        wire = wires_.front();
        wires_.erase(wires_.begin());
      }
      for (size_t at = 0; at < wire.size(); at += 100) connection.Write(std::string_view(wire).substr(at, 100));
      return connection.Close();
    }
  }

  TemporaryDirectory directory_;
  std::mutex mutex_;
  std::vector<std::string> wires_;  // guarded by mutex_
  std::string held_;                // guarded by mutex_
  std::promise<void> closed_;
  int questions_ = 0;
  ToxicServer provider_{[this](ToxicConnection& connection, int) { Serve(connection); }};
  std::unique_ptr<Coordinator> server_;
  std::unique_ptr<v1::CompletionService::Stub> stub_;
};

INSTANTIATE_TEST_SUITE_P(Backends, ServerContract, testing::ValuesIn(Dialects()),
                         [](const auto& dialect) { return dialect.param.name; });

TEST_P(ServerContract, AnswersComeThroughEveryFraming) {
  for (const Framing framing : {Framing::kLength, Framing::kChunked, Framing::kClose}) {
    EXPECT_EQ(Ask(*dialect_->Say({.pieces = {"h\\u00e9", "llo ", "\\ud83d\\ude00"}}), framing), "OK héllo 😀");
  }
}

TEST_P(ServerContract, AStreamGivesTheTextAndThenTheAnswer) {
  streams_ = true;
  for (const Framing framing : {Framing::kLength, Framing::kChunked, Framing::kClose}) {
    EXPECT_EQ(Ask(*dialect_->Say({.pieces = {"h\\u00e9", "llo ", "\\ud83d\\ude00"}}), framing), "OK héllo 😀");
    EXPECT_EQ(text_, "héllo 😀");
  }
  EXPECT_EQ(Ask(*dialect_->Say({}), Framing::kCut), "UNKNOWN_OUTCOME");
  EXPECT_EQ(Ask({.status = 200, .headers = {}, .body = "<html>"}), "BAD_RESPONSE");
  EXPECT_EQ(Ask({Wire(dialect_->Refuse(503), Framing::kLength), Wire(*dialect_->Say({}), Framing::kLength)}),
            "OK hello");
}

TEST_P(ServerContract, AClientThatLeavesItsStreamEndsTheRequestOfTheProvider) {
  if (!dialect_->is_stream()) return;  // no part of the text comes before the end
  const Response whole = *dialect_->Say({});
  const std::string wire = Wire(whole, Framing::kLength);
  std::future<void> closed = Hold(wire.substr(0, wire.size() - whole.body.size() + dialect_->BytesNeeded(whole) - 1));
  v1::StreamGenerateRequest request;
  request.mutable_generate()->set_model("m");
  v1::Message& message = *request.mutable_generate()->add_messages();
  message.set_role("user");
  message.set_content("a question whose answer is never whole");
  grpc::ClientContext context;
  const auto reader = stub().StreamGenerate(&context, request);
  v1::StreamGenerateResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.delta().substr(0, 3), "hel");
  context.TryCancel();
  closed.wait();  // the server has closed the connection
  while (reader->Read(&response)) EXPECT_FALSE(response.has_answer());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_P(ServerContract, ACutAnswerIsAnUnknownOutcome) {
  EXPECT_EQ(Ask(*dialect_->Say({}), Framing::kCut), "UNKNOWN_OUTCOME");
}

TEST_P(ServerContract, EndsAndGarbageHaveTheirReasons) {
  EXPECT_EQ(Ask(*dialect_->Say({.pieces = {}})), "EMPTY_ANSWER");
  EXPECT_EQ(Ask({.status = 200, .headers = {}, .body = "<html>"}), "BAD_RESPONSE");
  EXPECT_EQ(Ask({.status = 302, .headers = {{"Location", "http://127.0.0.1/"}}, .body = ""}), "BAD_RESPONSE");
  for (const auto& [ending, reason] : {std::pair{Ending::kLength, "TRUNCATED"},
                                       {Ending::kContentFilter, "CONTENT_FILTER"},
                                       {Ending::kRefusal, "REFUSAL"},
                                       {Ending::kUnknownReason, "BAD_RESPONSE"}}) {
    const std::optional<Response> response = dialect_->Say({.ending = ending});
    if (response) {
      EXPECT_EQ(Ask(*response), reason);
    }
  }
}

TEST_P(ServerContract, AnAnswerThatFitsTheSchemaIsTakenOutOfItsText) {
  const std::string schema = R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]})";
  const auto says = [&](const std::string& inside) {
    return Ask({Wire(*dialect_->Say({.pieces = {inside}}), Framing::kLength)}, schema);
  };
  EXPECT_EQ(says(R"(Here: ```json\n{\"n\":1}\n```)"), R"(OK {"n":1})");
  EXPECT_EQ(says(R"({\"n\":\"1\"})"), "SCHEMA");
  EXPECT_EQ(says("hello"), "NOT_JSON");
}

TEST_P(ServerContract, FaultsOfTheTargetAreRetriedAndOthersAreNot) {
  const std::string good = Wire(*dialect_->Say({}), Framing::kLength);
  for (const int status : {429, 500, 503}) {
    EXPECT_EQ(Ask({Wire(dialect_->Refuse(status), Framing::kLength), good}), "OK hello") << status;
  }
  EXPECT_EQ(Ask(dialect_->Refuse(400)), "REQUEST_REFUSED");
  EXPECT_EQ(Ask(dialect_->Refuse(404)), "PROVIDER_MODEL");
}

TEST_P(ServerContract, NoSecretIsInAnError) {
  Response response = dialect_->Refuse(401);
  response.body = "{\"error\":{\"message\":\"wrong key " + std::string(kSecret) + "\"}}";
  EXPECT_EQ(Ask(response), "PROVIDER_CREDENTIALS");
}

// --- Embeddings ---

using ServerEmbeddingContract = ServerContract;

INSTANTIATE_TEST_SUITE_P(Backends, ServerEmbeddingContract, testing::ValuesIn(EmbeddingDialects()),
                         [](const auto& dialect) { return dialect.param.name; });

TEST_P(ServerEmbeddingContract, TextsGetTheirVectorsAndAreNotSentAgain) {
  for (const Framing framing : {Framing::kLength, Framing::kChunked, Framing::kClose}) {
    EXPECT_EQ(Embed({"[1,0.5]", "[2,-0.25]", "[3,0.125]"}, framing), "[ 1 0.5 ][ 2 -0.25 ][ 3 0.125 ]");
  }
  EXPECT_EQ(Embed({}, true), "cached[ 1 0.5 ]cached[ 2 -0.25 ]cached[ 3 0.125 ]");
}

TEST_P(ServerEmbeddingContract, AnswersThatAreCutOrDoNotFitHaveTheirReasons) {
  EXPECT_EQ(Embed({"[1]", "[2]", "[3]"}, Framing::kCut), "UNKNOWN_OUTCOME");
  EXPECT_EQ(Embed({"[1]", "[2]"}, Framing::kLength), "BAD_RESPONSE");
  EXPECT_EQ(Embed({"[1]", "[2]", "[3,3]"}, Framing::kLength), "BAD_RESPONSE");
  EXPECT_EQ(Embed({"[1]", "[2]", "null"}, Framing::kLength), "BAD_RESPONSE");
  EXPECT_EQ(Embed({"[1]", "[2]", "[3]"}, Framing::kLength), "[ 1 ][ 2 ][ 3 ]") << "the next request is answered";
}

TEST_P(ServerEmbeddingContract, FaultsOfTheTargetAreRetriedAndOthersAreNot) {
  const std::string good = Wire(*dialect_->Embed({"[1]", "[2]", "[3]"}), Framing::kLength);
  for (const int status : {429, 500, 503}) {
    EXPECT_EQ(Embed({Wire(dialect_->Refuse(status), Framing::kLength), good}), "[ 1 ][ 2 ][ 3 ]") << status;
  }
  EXPECT_EQ(Embed({Wire(dialect_->Refuse(400), Framing::kLength)}), "REQUEST_REFUSED");
  EXPECT_EQ(Embed({Wire(dialect_->Refuse(404), Framing::kLength)}), "PROVIDER_MODEL");
}

TEST_P(ServerEmbeddingContract, NoSecretIsInAnError) {
  Response response = dialect_->Refuse(401);
  response.body = "{\"error\":{\"message\":\"wrong key " + std::string(kSecret) + "\"}}";
  EXPECT_EQ(Embed({Wire(response, Framing::kLength)}), "PROVIDER_CREDENTIALS");
}

}  // namespace
}  // namespace millrace::backend
