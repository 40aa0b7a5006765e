#include "server/stages/group/comparable_text.h"

#include <boost/json.hpp>
#include <deque>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

class Parts {
 public:
  void Add(const json::value& value, const v1::WeightedField& field, bool whole) {
    TextPart part;
    if (const json::string* text = IfText(value)) {
      part.text = {text->data(), text->size()};
    } else if (IsNumber(value)) {
      numbers_.push_back(WriteJson(value));
      part.text = numbers_.back();
    } else {
      return;
    }
    part.weight = field.weight() > 0 ? field.weight() : 1;
    part.max_words = static_cast<size_t>(field.max_words());
    part.whole = whole;
    parts_.push_back(part);
  }

  const std::vector<TextPart>& parts() const { return parts_; }

 private:
  std::deque<std::string> numbers_;  // a deque, because parts_ point to its elements
  std::vector<TextPart> parts_;
};

}  // namespace

void AddToCorpus(const google::protobuf::RepeatedPtrField<v1::WeightedField>& fields, const boost::json::value& item,
                 Corpus& corpus) {
  Parts parts;
  for (const v1::WeightedField& field : fields) {
    const json::value* value = FindPath(item, field.field());
    if (value == nullptr) continue;
    if (const json::array* list = value->if_array()) {
      for (const json::value& entry : *list) parts.Add(entry, field, true);
    } else {
      parts.Add(*value, field, false);
    }
  }
  corpus.Add(parts.parts());
}

}  // namespace millrace
