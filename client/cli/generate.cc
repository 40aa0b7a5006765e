// Command `generate`.
#include <fmt/format.h>

#include <iostream>
#include <optional>
#include <sstream>
#include <string_view>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/text_file.h"
#include "server/text/file_text.h"

namespace millrace::cli {
namespace {

constexpr size_t kMessagesBytesMax = 4u << 20;  // limit of a GenerateRequest
constexpr size_t kSchemaMibMax = 4;

struct GenerateArguments {
  std::string model;
  std::string prompt;
  std::string system;
  std::string schema;
  int32_t max_tokens = 0;
  int64_t sample = 0;
  double timeout_seconds = 600;
  bool stream = false;
};

// Prints the text of an answer while it comes, without decoration, because the output may be redirected. Escapes it,
// because an answer must not control the terminal.
class TextPrinter {
 public:
  void Take(const v1::StreamGenerateResponse& response) {
    switch (response.event_case()) {
      case v1::StreamGenerateResponse::kDelta:
        Print(response.delta());
        break;
      case v1::StreamGenerateResponse::kRestart:
        Void("the answer begins again");
        break;
      case v1::StreamGenerateResponse::kAnswer:
        Finish(response.answer().text());
        break;
      case v1::StreamGenerateResponse::EVENT_NOT_SET:
        break;  // an event of a newer server
    }
  }
  // Ends the line that was begun.
  void EndLine() {
    if (!text_.empty() && text_.back() != '\n') std::cout << "\n" << std::flush;
  }

 private:
  void Print(std::string_view text) {
    text_ += text;
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      std::cout << Safe(text.substr(0, end), SIZE_MAX) << "\n";
      text.remove_prefix(end + 1);
    }
    std::cout << Safe(text, SIZE_MAX) << std::flush;
  }
  void Void(const char* message) {
    EndLine();
    if (!text_.empty()) std::cerr << "millrace: " << message << "\n";
    text_.clear();
  }
  void Finish(std::string_view answer) {
    if (!answer.starts_with(text_)) Void("the answer is not the text so far, but:");
    Print(answer.substr(text_.size()));
    EndLine();
  }

  std::string text_;  // that was printed since the last restart
};

void PrintSource(const v1::GenerateResponse& response) {
  std::cerr << fmt::format("{}/{}{}, {} + {} tokens\n", Safe(response.backend()), Safe(response.model()),
                           response.cache_hit() ? ", cached" : "", Count(response.input_tokens()),
                           Count(response.output_tokens()));
}

int PrintStream(const Session& session, client::Client& client, const v1::GenerateRequest& request) {
  v1::StreamGenerateRequest streamed;
  *streamed.mutable_generate() = request;
  TextPrinter printer;
  std::optional<v1::GenerateResponse> answer;
  const auto take = [&](const v1::StreamGenerateResponse& response) {
    if (response.has_answer()) answer = response.answer();
    if (session.json()) {
      PrintJson(response, Layout::kLine);
    } else {
      printer.Take(response);
    }
  };
  const Status status = client.StreamGenerate(streamed, take);
  if (!status.ok()) {
    printer.EndLine();
    return PrintCallError(status);
  }
  if (answer && !session.json()) PrintSource(*answer);
  return kDone;
}

std::string ReadAll(std::istream& in) {
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int Generate(Session& session, const GenerateArguments& arguments) {
  v1::GenerateRequest request;
  request.set_model(arguments.model);
  if (!arguments.system.empty()) {
    v1::Message* message = request.add_messages();
    message->set_role("system");
    message->set_content(arguments.system);
  }
  v1::Message* message = request.add_messages();
  message->set_role("user");
  message->set_content(arguments.prompt == "-" ? FileText(ReadAll(std::cin)) : arguments.prompt);
  if (Status status = CheckUtf8("standard input", message->content()); !status.ok()) return PrintError(status);
  const size_t bytes = arguments.system.size() + message->content().size();
  if (bytes > kMessagesBytesMax) {
    return PrintError(MakeError(
        Reason::kInvalidField, fmt::format("the prompt and the system message have {} bytes; at most 4 MiB are allowed",
                                           Count(static_cast<int64_t>(bytes)))));
  }
  if (!arguments.schema.empty()) {
    StatusOr<std::string> schema = ReadTextFile(arguments.schema, kSchemaMibMax);
    if (!schema.ok()) return PrintError(WithContext(schema.status(), "--schema"));
    if (Status status = CheckUtf8("--schema", *schema); !status.ok()) return PrintError(status);
    request.set_output_schema(FileText(*schema));
  }
  request.set_max_tokens(arguments.max_tokens);
  request.set_sample_number(arguments.sample);
  session.calls = true;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  (*client)->SetTimeout(std::chrono::nanoseconds(static_cast<int64_t>(arguments.timeout_seconds * 1e9)));
  session.OnInterrupt([&client] { (*client)->Interrupt(); });
  if (arguments.stream) return PrintStream(session, **client, request);
  const StatusOr<v1::GenerateResponse> response = (*client)->Generate(request);
  if (!response.ok()) return PrintCallError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  v1::StreamGenerateResponse whole;
  whole.mutable_answer()->set_text(response->text());
  TextPrinter().Take(whole);
  PrintSource(*response);
  return kDone;
}

}  // namespace

void AddGenerateCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* generate = AddCommand(app, "generate", "Ask a model once; a repeated question is answered from memory",
                                  "  millrace generate local \"What is a mill race?\"\n"
                                  "  millrace generate writer - --schema answer.schema.json < prompt.txt\n"
                                  "  millrace generate writer \"Tell a long story\" --stream");
  generate->add_option("MODEL", arguments->model, "Alias of the model")->required();
  generate->add_option("PROMPT", arguments->prompt, "Prompt; - reads it from standard input")->required();
  generate->add_option("--system", arguments->system, "System message");
  generate->add_option("--schema", arguments->schema, "File with a JSON Schema that the answer must satisfy");
  generate->add_option("--max-tokens", arguments->max_tokens, "Limit of the answer in tokens (0: 1024)")
      ->check(WholeNumber(0, 1000000));
  generate
      ->add_option("--sample-number", arguments->sample, "Number of the sample; another number asks the question again")
      ->check(WholeNumber(0, kInt64Max));
  generate->add_option("--timeout", arguments->timeout_seconds, "Time limit in seconds")
      ->check(DecimalNumber(0.001, 86400))
      ->capture_default_str();
  generate->add_flag("--stream", arguments->stream,
                     "Print the text while it is made; with --format json one line per event");
  generate->callback([&session, &exit, arguments] { exit = Generate(session, *arguments); });
}

}  // namespace millrace::cli
