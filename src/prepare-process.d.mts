export function prepareProcess(): void;
