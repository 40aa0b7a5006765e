// Command `embed`.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/json.h"

namespace millrace::cli {
namespace {

// Texts and bytes of one request: half of what an EmbedRequest may have, so that the first vectors are printed early.
constexpr size_t kTextsOfRequest = 1024;
constexpr size_t kBytesOfRequest = 2u << 20;
constexpr size_t kTextBytesMax = 4u << 20;
// Numbers of the vectors of one EmbedResponse.
constexpr size_t kNumbersMax = 8u << 20;

struct EmbedArguments {
  std::string model;
  std::vector<std::string> texts;
  int32_t dimensions = 0;
  double timeout_seconds = 600;
};

// Takes the next texts, of the arguments or else of the lines of standard input.
class Texts {
 public:
  explicit Texts(const EmbedArguments& arguments) : arguments_(arguments), reads_lines_(arguments.texts.empty()) {}

  // Adds texts to the request, none at the end.
  Status Fill(v1::EmbedRequest& request) {
    size_t bytes = 0;
    std::string text;
    const size_t numbers = std::max<size_t>(1, static_cast<size_t>(arguments_.dimensions));
    const size_t texts_max = std::min(kTextsOfRequest, kNumbersMax / numbers);
    while (static_cast<size_t>(request.texts_size()) < texts_max && bytes < kBytesOfRequest && Next(text)) {
      ++number_;
      const std::string place =
          reads_lines_ ? fmt::format("line {} of standard input", number_) : fmt::format("text {}", number_);
      if (text.empty()) {
        // To skip it would shift the vectors against the lines.
        return MakeError(Reason::kInvalidField, fmt::format("{} is empty; remove it, as `grep .` does", place));
      }
      MR_RETURN_IF_ERROR(CheckUtf8(place, text));
      if (text.size() > kTextBytesMax / 2) {
        return MakeError(Reason::kInvalidField, fmt::format("{} has {} bytes; at most 2 MiB are allowed", place,
                                                            Count(static_cast<int64_t>(text.size()))));
      }
      bytes += text.size();
      request.add_texts(text);
    }
    return absl::OkStatus();
  }

 private:
  bool Next(std::string& text) {
    if (reads_lines_) {
      if (!std::getline(std::cin, text)) return false;
      if (text.ends_with('\r')) text.pop_back();
      if (number_ == 0 && text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);  // U+FEFF, a byte order mark
      return true;
    }
    if (next_ >= arguments_.texts.size()) return false;
    text = arguments_.texts[next_++];
    return true;
  }

  const EmbedArguments& arguments_;
  const bool reads_lines_;
  size_t next_ = 0;
  int64_t number_ = 0;
};

// Prints one JSON object a line. A number has as many digits as its 32 bits need.
void PrintVectors(const v1::EmbedRequest& request, const v1::EmbedResponse& response) {
  for (int i = 0; i < response.embeddings_size(); ++i) {
    const v1::Embedding& embedding = response.embeddings(i);
    const std::string& text = request.texts(i);
    std::string numbers;
    for (const float number : embedding.vector()) {
      if (!numbers.empty()) numbers += ',';
      numbers += fmt::format("{}", number);
    }
    std::cout << fmt::format("{{\"text\":{},\"cached\":{},\"vector\":[{}]}}\n",
                             std::string(json::serialize(json::string(text.data(), text.size()))),
                             embedding.cache_hit(), numbers);
  }
  std::cout << std::flush;
}

int Embed(Session& session, const EmbedArguments& arguments) {
  session.calls = true;
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  (*client)->SetTimeout(std::chrono::nanoseconds(static_cast<int64_t>(arguments.timeout_seconds * 1e9)));
  session.OnInterrupt([&client] { (*client)->Interrupt(); });
  Texts texts(arguments);
  int64_t embedded = 0;
  int64_t cached = 0;
  int64_t tokens = 0;
  while (true) {
    v1::EmbedRequest request;
    request.set_model(arguments.model);
    if (arguments.dimensions > 0) request.set_dimensions(arguments.dimensions);
    if (const Status status = texts.Fill(request); !status.ok()) return PrintError(status);
    if (request.texts().empty()) break;
    const StatusOr<v1::EmbedResponse> response = (*client)->Embed(request);
    if (!response.ok()) return PrintCallError(response.status());
    if (response->embeddings_size() != request.texts_size()) {
      return PrintError(MakeError(Reason::kInternal, fmt::format("the server returned {} vectors for {} texts",
                                                                 response->embeddings_size(), request.texts_size())));
    }
    if (session.json()) {
      PrintJson(*response, Layout::kLine);
    } else {
      PrintVectors(request, *response);
    }
    if (!std::cout.good()) return kRunFailed;  // further vectors would be paid for and lost
    embedded += response->embeddings_size();
    tokens += response->input_tokens();
    cached += std::count_if(response->embeddings().begin(), response->embeddings().end(),
                            [](const v1::Embedding& embedding) { return embedding.cache_hit(); });
  }
  if (embedded == 0) return PrintError(MakeError(Reason::kInvalidField, "standard input has no text: one a line"));
  if (!session.json()) {
    std::cerr << fmt::format("{}: {} texts, {} cached, {} tokens\n", Safe(arguments.model), Count(embedded),
                             Count(cached), Count(tokens));
  }
  return kDone;
}

}  // namespace

void AddEmbedCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* embed = AddCommand(app, "embed", "Make vectors of texts; a text that was embedded before is not sent again",
                               "  millrace embed local \"a mill\" \"a race\"\n"
                               "  millrace embed embedder < titles.txt > vectors.jsonl");
  embed->add_option("MODEL", arguments->model, "Alias of the model")->required();
  embed->add_option("TEXT", arguments->texts, "Texts; without any, each line of standard input is one");
  embed->add_option("--dimensions", arguments->dimensions, "Size of the vectors, if the model can shorten them")
      ->check(WholeNumber(1, 65536));
  embed
      ->add_option("--timeout", arguments->timeout_seconds,
                   "Time limit of each request of at most 1,024 texts, in seconds")
      ->check(DecimalNumber(0.001, 86400))
      ->capture_default_str();
  embed->callback([&session, &exit, arguments] { exit = Embed(session, *arguments); });
}

}  // namespace millrace::cli
