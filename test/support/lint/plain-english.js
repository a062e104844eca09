/**
 * ESLint rule "Plain English": a sentence of a comment names its subject. `Who writes unseen …`, `What is known …`, `Those that came
 * late …` read like riddles, because the reader has to guess the noun. Questions are free.
 */
const HEADLESS =
  /^(who(ever|m|mever|se)?|what(ever|soever)?|which(ever)?|those|nobody|that (of|which|who)|he who|they who)\b/i;

/** Text of a comment without its frame, its fenced code and its inline code. */
function textOf(comment) {
  return comment.value
    .replace(/^\s*\*+ ?/gm, '')
    .replace(/```[\s\S]*?```/g, '\n\n')
    .replace(/`[^`]*`/g, 'code');
}

/** Sentences begin a paragraph, a list item or the text of a tag, or follow the end of another sentence. */
function* sentencesOf(text) {
  for (const paragraph of text.split(/\n\s*\n|^\s*(?:-|\d+\.) |^@/m)) {
    const flat = paragraph
      .replace(/^(?:param \S+ - |(?:returns|remarks|throws|typeParam \S+ -) )/, '')
      .replace(/\s+/g, ' ');
    yield* flat.trim().split(/(?<=[.!?:…][)"”]?) (?=["“(]?[A-Z])/);
  }
}

/** The sentences of a text without a subject. */
export function headlessSentences(text) {
  return [...sentencesOf(text)].filter(
    (sentence) => HEADLESS.test(sentence) && !sentence.endsWith('?'),
  );
}

export const plainEnglish = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: {
      headless: 'Subject first, a noun of the glossary, present tense: "{{sentence}}"',
    },
  },
  create(context) {
    return {
      Program() {
        for (const { comments, loc } of paragraphsOf(context.sourceCode.getAllComments())) {
          for (const sentence of headlessSentences(comments.map(textOf).join('\n'))) {
            context.report({
              loc,
              messageId: 'headless',
              data: { sentence: sentence.slice(0, 60) },
            });
          }
        }
      },
    };
  },
};

/** Comments of one line that stand below each other are one text. */
function paragraphsOf(comments) {
  const paragraphs = [];
  for (const comment of comments) {
    const last = paragraphs.at(-1);
    const before = last?.comments.at(-1);
    const goesOn =
      comment.type === 'Line' &&
      before?.type === 'Line' &&
      before.loc.end.line + 1 === comment.loc.start.line &&
      before.loc.start.column === comment.loc.start.column;
    if (goesOn) last.comments.push(comment);
    else paragraphs.push({ comments: [comment], loc: comment.loc });
  }
  return paragraphs;
}
